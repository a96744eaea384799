"""Work on containers, from the request to the outcome: nothing else asks for it or ends it.

`asking` opens an Operation, `claiming` gives it to one worker, `carrying` does it there, `work`
holds the steps of each kind, `concluding` asks the node what came of it, `outcomes` writes that
down; `sweeping` finds the Operations that no worker holds. The row of an Operation is the truth;
the queue only wakes workers.
"""

from containers.operations.asking import NotAllowed, TooFast, refusal, request, try_again, why_not
from containers.operations.carrying import carry_out
from containers.operations.outcomes import creation_ended
from containers.operations.sweeping import sweep

__all__ = [
    "NotAllowed",
    "TooFast",
    "carry_out",
    "creation_ended",
    "refusal",
    "request",
    "sweep",
    "try_again",
    "why_not",
]
