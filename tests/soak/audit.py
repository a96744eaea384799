"""Database against nodes: what must hold of a panel, at any moment and once all has settled."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from payments import PaymentStatus

from containers.drivers import Power
from containers.models import Container, Operation, Stray
from containers.statuses import NOWHERE, TRANSIENT, Status
from orders.models import Order

# What is on each node: its name, and there the power of each instance by its name.
Truth = Mapping[str, Mapping[str, Power]]

# What the node has to say of a container in a status at rest.
MEANS = {
    Status.RUNNING: Power.RUNNING,
    Status.STOPPED: Power.STOPPED,
    Status.REPAIRING: Power.STOPPED,
}


@dataclass
class Findings:
    """One sentence for each thing that is wrong; all empty where nothing is."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.lost or self.duplicated or self.stuck)

    def __add__(self, other: Findings) -> Findings:
        return Findings(
            self.lost + other.lost,
            self.duplicated + other.duplicated,
            self.stuck + other.stuck,
        )


def at_any_moment() -> Findings:
    """What holds between any two transactions, whatever is under way."""
    found = Findings()
    found.lost += _gaps("container", Container.objects.prefetch_related("changes"))
    found.lost += _gaps("order", Order.objects.prefetch_related("changes"))
    found.stuck += _transient_without_operation()
    for order in Order.objects.prefetch_related("payments", "changes").select_related("container"):
        lost, twice = _money(order)
        found.lost += lost
        found.duplicated += twice
    return found


def once_settled(truth: Truth) -> Findings:
    """What holds besides once nothing is under way and every node answers."""
    found = at_any_moment()
    where: dict[str, list[str]] = defaultdict(list)
    for node, instances in truth.items():
        for name in instances:
            where[name].append(node)
    found.duplicated += [f"{name} is on {', '.join(on)}" for name, on in where.items() if on[1:]]
    containers = {
        container.instance_name: container
        for container in Container.objects.select_related("node", "order")
    }
    for name, on in where.items():
        known = containers.get(name)
        if known is None or known.node is None:
            found.duplicated.append(f"{name} is on {on[0]}, and nowhere in the database")
    for container in containers.values():
        found.stuck += _not_at_rest(container)
        found.lost += _untrue(container, truth)
    found.stuck += [f"{stray} is a stray on {stray.node}" for stray in Stray.objects.all()]
    open_ones = Operation.objects.open().select_related("container")
    found.stuck += [f"{operation} is still open" for operation in open_ones]
    return found


def _gaps(what: str, rows: Iterable[Any]) -> Iterator[str]:
    """Histories in which a row does not begin where the one before it ended."""
    for row in rows:
        changes = sorted(row.changes.all(), key=lambda change: change.pk)
        steps = [(change.from_status, change.to_status) for change in changes]
        whole = [("", ""), *steps, (row.status, row.status)]
        if any(before[1] != after[0] for before, after in pairwise(whole)):
            yield f"history of {what} {row.pk}, {row.status} now: {steps}"


def _transient_without_operation() -> Iterator[str]:
    """Of open Operations no container has two: the database itself sees to that."""
    for container in Container.objects.prefetch_related("operations"):
        during = [operation.during for operation in container.operations.all() if operation.is_open]
        expected = [container.status] if container.status in TRANSIENT else []
        if during != expected and not (during and container.status == Status.OFFLINE):
            yield f"container {container.pk} is {container.status}, its work: {during or 'none'}"


def _money(order: Order) -> tuple[list[str], list[str]]:
    """What is lost and what is there twice of the money of one order."""
    lost: list[str] = []
    twice: list[str] = []
    payments = list(order.payments.all())
    kept = [p for p in payments if p.status == PaymentStatus.CONFIRMED and not p.is_surplus]
    is_paid = order.status in {Order.Status.PAID, Order.Status.FULFILLED}
    if sum(payment.captured_amount for payment in kept) != (order.price if is_paid else 0):
        amounts = [str(payment.captured_amount) for payment in kept]
        (twice if kept else lost).append(f"{order} is {order.status}, and holds {amounts}")
    changes = list(order.changes.all())
    entered = Counter(c.to_status for c in changes if c.to_status != c.from_status)
    # What its node has lost is made once more.
    lost_again = sum(c.from_status == Order.Status.FULFILLED != c.to_status for c in changes)
    entered -= Counter(dict.fromkeys([Order.Status.PAID, Order.Status.FULFILLED], lost_again))
    twice += [f"{order} became {status} twice" for status, count in entered.items() if count > 1]
    back = Counter(c.because for c in changes if c.because.endswith("given back"))
    for payment in payments:
        times = back[f"payment {payment.pk} given back"]
        if times > 1:
            twice.append(f"{payment} of {order} was given back {times} times")
        if times and payment.status != PaymentStatus.REFUNDED:
            lost.append(f"{payment} of {order} was given back, and is {payment.status}")
    if order.status == Order.Status.FULFILLED and order.container.status == Status.ORDERED:
        lost.append(f"{order} is fulfilled, its container was never made")
    container = order.container
    ends = container.status in {Status.DESTROYING, Status.DESTROYED}
    if ends and order.paid_at and order.paid_at > container.status_since:
        lost.append(f"{order} was paid when its container was {container.status}")
    return lost, twice


def _not_at_rest(container: Container) -> Iterator[str]:
    if container.status in TRANSIENT or (
        container.status == Status.OFFLINE and not container.missing
    ):
        yield f"container {container.pk} is {container.status}: {container.problem}"
    order = getattr(container, "order", None)
    if container.withdrawn_at or order is None or order.status != Order.Status.PAID:
        return
    if container.status != Status.ORDERED or container.create_tries == 0:
        yield f"{order} is paid, and its container {container.pk} is {container.status}"


def _untrue(container: Container, truth: Truth) -> Iterator[str]:
    """A container whose node does not say what the database says."""
    if container.status in NOWHERE:
        if container.node is not None:
            yield f"container {container.pk} is {container.status} on {container.node}"
        return
    if container.node is None:
        yield f"container {container.pk} is {container.status} on no node"
        return
    power = truth[container.node.name].get(container.instance_name)
    if container.status in MEANS and power is not MEANS[Status(container.status)]:
        yield f"container {container.pk} is {container.status}, {container.node} says {power}"
    if container.missing and power is not None:
        yield f"container {container.pk} is missing, and is {power} on {container.node}"
