"""What a node's silence or answer means for its containers: written down for all of them at once.

A node may have thousands. Which status follows is asked of the table once for all that are in
the same case; then one statement writes them, and another their history.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Case, F, OuterRef, QuerySet, Subquery, Value, When
from django.utils import timezone

from containers.connect import labels_of
from containers.drivers import Instance, Power
from containers.models import Container, Node, Operation, StatusChange
from containers.models.clocks import latest_plausible
from containers.operations.carrying import wake
from containers.statuses import TRANSIENT, Status

logger = logging.getLogger(__name__)

# The columns that a report is compared with: a look at thousands of containers reads no others.
COMPARED = ("node", "status", "status_since", "missing", "address", "problem", "ordered_at")

# The problem of a container whose node does not answer any more.
CONNECTION_BROKEN = (
    "The connection to node {node} is broken. "
    "Nothing is lost: the status is read from the node as soon as it is back."
)
# The problem of one whose node is back and has it, but cannot say whether it runs.
CANNOT_TELL = (
    "Its node answers again, but cannot say whether it runs. "
    "The status is read from the node as soon as it can."
)

# What the history gives as the reason of each transition that the watcher makes.
BECAUSE = {
    "lost": "node {node} does not answer",
    "found_running": "node {node} reports that it was started there",
    "found_stopped": "node {node} reports that it stopped by itself",
    "vanished": "node {node} does not have it",
}


@dataclass(frozen=True)
class Look:
    """What a node reported, or why it did not. `instances` are the panel's, `by_hand` all others.
    `began` is a time before the question was sent: of a container that has changed since, this look
    says nothing. `seconds` is how long the answer took."""

    began: datetime
    instances: dict[str, Instance] = field(default_factory=dict)
    by_hand: dict[str, Instance] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0

    def of(self, containers: Iterable[Container]) -> Look:
        """This look without the instances that bear the name of one of these containers, but were
        made for another container."""
        others = {
            container.instance_name
            for container in containers
            if (seen := self.instances.get(container.instance_name))
            and seen.is_another(labels_of(container))
        }
        own = {name: each for name, each in self.instances.items() if name not in others}
        return replace(self, instances=own) if others else self

    @property
    def tells_all(self) -> bool:
        """Whether every instance on the node gave an answer."""
        return all(each.known for each in self.instances.values())


@dataclass(frozen=True)
class Correction:
    """How a row is changed to agree with a report: by `transition`, with `now` as its argument if
    that is given; without a transition only the texts on its page change. Rows that need equal
    corrections are changed together. `gone`: the node does not have it; `cannot_tell`: the node
    cannot say whether it runs."""

    was: str
    was_missing: bool
    transition: str = ""
    now: str = ""
    gone: bool = False
    cannot_tell: bool = False


@transaction.atomic
def lose(node: Node, error: str) -> None:
    """A node has not answered for too long: it is off-line, and all that is on it Off-line."""
    now = timezone.now()
    here = Container.objects.filter(node=node, status__in=Container.sources_of("lost"))
    # These are Off-line already, for another reason.
    untold = Container.objects.filter(node=node, status=Status.OFFLINE, problem=CANNOT_TELL)
    locked = (here | untold).select_for_update().order_by("pk").values_list("pk")
    # Containers are locked before nodes, as in placing; and again, for those placed since.
    list(locked)
    if not Node.objects.filter(pk=node.pk, online=True).update(online=False, online_since=now):
        return
    list(locked.all())
    # The transition `lost`, of all at once: `here` are those in its sources, and this its target.
    _keep_history(here, Status.OFFLINE, now, BECAUSE["lost"].format(node=node.name))
    already = When(status=Status.OFFLINE, then="status_since")
    (here | untold).update(
        status=Status.OFFLINE,
        status_since=Case(already, default=Value(now)),
        revision=F("revision") + 1,
        problem=CONNECTION_BROKEN.format(node=node.name),
    )
    logger.error("node %s is off-line: %s", node.name, error)


def correction_of(container: Container, look: Look, during: str | None) -> Correction | None:
    """What makes a row say what its node reports.

    None where they agree, and where the node cannot tell of one at rest. `during` is the transient
    status of an open Operation.
    """
    if container.status in TRANSIENT or _has_changed_since(look, container):
        return None
    was, was_missing = container.status, container.missing
    if was == Status.OFFLINE and during:
        return Correction(was, was_missing, "resumed", during)
    seen = look.instances.get(container.instance_name)
    if seen is None:
        if was != Status.OFFLINE:
            return Correction(was, was_missing, "vanished", gone=True)
        return None if was_missing else Correction(was, was_missing, gone=True)
    if was_missing and not seen.known:
        return None  # it may be another container's
    if seen.power is Power.RUNNING and was != Status.RUNNING:
        return Correction(was, was_missing, "found_running")
    if seen.power is Power.STOPPED and was in Container.sources_of("found_stopped"):
        return Correction(was, was_missing, "found_stopped")
    if was == Status.OFFLINE and container.problem != CANNOT_TELL:
        return Correction(was, was_missing, cannot_tell=True)
    if _has_another_address(container, seen):
        return Correction(was, was_missing)
    return None


def _has_changed_since(look: Look, container: Container) -> bool:
    return look.began <= container.status_since <= latest_plausible(timezone.now())


@transaction.atomic
def correct(node: Node, look: Look, containers: Iterable[int]) -> None:
    """Look again with the rows locked, and make each say what its node reports of it."""
    rows = Container.objects.filter(pk__in=list(containers), node=node)
    locked = list(rows.only(*COMPARED).select_for_update().order_by("pk"))
    open_work = Operation.objects.open().filter(container__in=[row.pk for row in locked])
    work_on = {work.container_id: work for work in open_work}
    cases: dict[Correction, list[Container]] = defaultdict(list)
    for row in locked:
        operation = work_on.get(row.pk)
        if correction := correction_of(row, look, operation.during if operation else None):
            cases[correction].append(row)
    now = timezone.now()
    for correction, alike in cases.items():
        _take_addresses(alike, look.instances)
        if correction.transition:
            _move(alike, correction, node, now)
        else:
            _show(alike, correction, node)
    moved = (
        row.pk for correction, alike in cases.items() if correction.transition for row in alike
    )
    _take_up_again([work_on[pk] for pk in moved if pk in work_on], now)


def _move(alike: list[Container], correction: Correction, node: Node, now: datetime) -> None:
    """Make a transition of rows that are in the same case. No transition that the watcher makes has
    conditions: what the table says of one row holds for all."""
    one = alike[0]
    transition = getattr(one, correction.transition)
    if correction.now:
        transition(now=correction.now)
    else:
        transition()
    rows = Container.objects.filter(pk__in=[row.pk for row in alike])
    _keep_history(rows, one.status, now, _because(correction, node))
    rows.update(
        status=one.status,
        missing=one.missing,
        status_since=now,
        revision=F("revision") + 1,
        problem=_gone_from(node) if correction.gone else "",
    )


def _show(alike: list[Container], correction: Correction, node: Node) -> None:
    """Have pages show what has changed of rows whose status stays: another address, that they are
    gone, or that the node cannot tell."""
    words: dict[str, Any] = {}
    if correction.gone:
        words = {"missing": True, "problem": _gone_from(node)}
    elif correction.cannot_tell:
        words = {"missing": False, "problem": CANNOT_TELL}
    rows = Container.objects.filter(pk__in=[row.pk for row in alike])
    rows.update(revision=F("revision") + 1, **words)


def _has_another_address(container: Container, seen: Instance) -> bool:
    """Whether its node reports another address. None at all counts only for one that is stopped: of
    one that runs, the node may not have found it out yet."""
    tells = bool(seen.address) or seen.power is Power.STOPPED
    return tells and seen.address != container.address


def _take_addresses(rows: list[Container], instances: dict[str, Instance]) -> None:
    seen = ((instances.get(row.instance_name), row) for row in rows)
    differing = [
        (instance.address, row.pk)
        for instance, row in seen
        if instance and _has_another_address(row, instance)
    ]
    if differing:
        # A CASE with thousands of arms, as bulk_update() writes, takes seconds.
        statement = f"UPDATE {Container._meta.db_table} SET address = %s WHERE id = %s"  # noqa: S608
        with connection.cursor() as cursor:
            cursor.executemany(statement, differing)


def _keep_history(rows: QuerySet[Container], to: str, at: datetime, because: str) -> None:
    """Write a row of history for each, in one statement. Call it before their status is changed: it
    reads the old one, and the Operation that is open on each."""
    under_way = Operation.objects.open().filter(container=OuterRef("pk")).values("pk")
    change: dict[str, Any] = {
        "container_id": F("pk"),
        "from_status": F("status"),
        "to_status": Value(to),
        "at": Value(at),
        "because": Value(because),
        "operation_id": Subquery(under_way),
    }
    select, params = rows.values_list(*change.values()).query.sql_with_params()
    into = f"{StatusChange._meta.db_table} ({', '.join(change)})"
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {into} {select}", params)


def _gone_from(node: Node) -> str:
    return (
        f"Node {node.name} does not have this container any more. "
        "An administrator decides what becomes of it."
    )


def _because(correction: Correction, node: Node) -> str:
    if correction.was == Status.OFFLINE:
        again = "has it again" if correction.was_missing else "is back"
        return f"node {node.name} {again}"
    return BECAUSE[correction.transition].format(node=node.name)


def _take_up_again(work: list[Operation], now: datetime) -> None:
    """Work goes on where it was, with all the time that it had at first: it begins anew when a
    worker takes it."""
    for kind in {operation.kind for operation in work}:
        alike = [operation.pk for operation in work if operation.kind == kind]
        Operation.objects.filter(pk__in=alike).update(
            deadline_at=now + Container.deadline_of(kind),
            started_at=None,
            halting_seconds=0.0,
            not_before=now,
            woken_at=now,
        )
    for operation in work:
        wake(operation.pk)
