"""What people were told: every request that was accepted must have had exactly one effect."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

from containers.models import Container, FileChange, StatusChange
from orders.models import Order
from tests.soak.audit import Findings

# What somebody did, to which container, by which name they sign in.
Deed = tuple[str, int, str]


@dataclass
class Ledger:
    """`accepted` counts what the panel has confirmed, `unknown` the requests whose answer got
    lost: each of those may have had an effect, or none."""

    accepted: Counter[Deed] = field(default_factory=Counter)
    unknown: Counter[Deed] = field(default_factory=Counter)
    ordered: dict[str, set[int]] = field(default_factory=dict)
    paid: set[int] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, deed: Deed, *, accepted: bool | None) -> None:
        """None: nobody knows. A refusal is not kept."""
        if accepted is False:
            return
        with self._lock:
            (self.unknown if accepted is None else self.accepted)[deed] += 1

    def note_order(self, token: str, order: int) -> None:
        with self._lock:
            self.ordered.setdefault(token, set()).add(order)

    def note_paid(self, order: int) -> None:
        with self._lock:
            self.paid.add(order)

    def findings(self) -> Findings:
        """The ledger against the database."""
        found = Findings()
        done = _deeds()
        for deed in done.keys() | self.accepted.keys():
            least, most = self.accepted[deed], self.accepted[deed] + self.unknown[deed]
            what = f"{deed}: accepted {least} times, {done[deed]} effects"
            if done[deed] < least:
                found.lost.append(what)
            elif done[deed] > most:
                found.duplicated.append(f"{what}, {self.unknown[deed]} without an answer")
        known = dict(Order.objects.values_list("pk", "status"))
        for token, orders in self.ordered.items():
            if len(orders) > 1:
                found.duplicated.append(f"form {token} made orders {sorted(orders)}")
            found.lost += [f"order {pk} was accepted, and is gone" for pk in orders - known.keys()]
        settled = {Order.Status.PAID, Order.Status.FULFILLED, Order.Status.REFUNDED}
        found.lost += [
            f"order {pk} was paid, and is {known.get(pk)}"
            for pk in self.paid
            if known.get(pk) not in settled
        ]
        return found


def _deeds() -> Counter[Deed]:
    """What the database says that people did."""
    name_of = {action.label: name for name, action in Container.actions().items()}
    done: Counter[Deed] = Counter()
    changes = StatusChange.objects.exclude(by=None).filter(because__in=name_of)
    for because, pk, person in changes.values_list("because", "container_id", "by__username"):
        done[name_of[because], pk, person] += 1
    for pk, person in FileChange.objects.values_list("container_id", "by__username"):
        done["file", pk, person] += 1
    return done
