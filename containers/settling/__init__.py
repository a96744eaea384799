"""What an administrator can do where the database and a node disagree.

Each door asks the nodes first, with no transaction open; it then decides with the row locked,
and writes into the history who did what. It returns a sentence that says what was done, and
raises NotPossible. On nodes the doors only give the panel's mark to an instance, and delete what
somebody asks to have deleted.

`adopting` is for what the database does not know, `missing` for containers that their node does
not have, `leftovers` for what a creation or a move has left; `checks` holds what they check first.
"""

from containers.settling.adopting import Adoptable, adopt, proposal
from containers.settling.checks import NotPossible
from containers.settling.leftovers import clear_away, remove_copy
from containers.settling.missing import create_again, forget, take_over

__all__ = [
    "Adoptable",
    "NotPossible",
    "adopt",
    "clear_away",
    "create_again",
    "forget",
    "proposal",
    "remove_copy",
    "take_over",
]
