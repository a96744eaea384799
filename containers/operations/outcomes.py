"""The door for outcomes: what the node reported, written down in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone

from containers.drivers import Unreachable
from containers.models import Container, Node, Operation, StatusChange
from containers.statuses import Status

if TYPE_CHECKING:
    from panel.models import User

# Sent with `container` when a creation has ended, well or not, inside the transaction that records
# it.
creation_ended = Signal()


@dataclass(frozen=True)
class Verdict:
    """What came of an Operation. `now` is the status at rest that the node's report means;
    `error` is for the customer and `detail` for staff, both empty where all went well."""

    ok: bool
    now: str
    address: str = ""
    error: str = ""
    detail: str = ""


class LeaseLost(Exception):
    """Another worker holds the Operation now, or it has ended: stop, and write nothing."""


def record(
    container: Container,
    was: str,
    operation: Operation | None = None,
    *,
    by: User | None = None,
    because: str = "",
    at: datetime | None = None,
) -> None:
    """Save a container after a transition, with its row of history. Call it in the
    transaction in which the container was locked."""
    at = at or timezone.now()
    container.status_since = at
    container.revision += 1
    container.save()
    StatusChange.objects.create(
        container=container,
        from_status=was,
        to_status=container.status,
        at=at,
        by=by,
        because=because,
        operation=operation,
    )


def _held(operation: Operation) -> tuple[Container, Operation]:
    """Container and Operation, locked and fresh, if this worker still holds them."""
    container = Container.objects.select_for_update().get(pk=operation.container_id)
    fresh = (
        Operation.objects.select_for_update(of=("self",))
        .select_related("target")
        .get(pk=operation.pk)
    )
    if not fresh.is_open or fresh.held_by != operation.held_by:
        raise LeaseLost
    if container.status != fresh.during:
        # Its node went off-line meanwhile: nothing can be concluded before it is back.
        raise LeaseLost
    return container, fresh


@transaction.atomic
def half_way(operation: Operation) -> None:
    """A restart whose container has stopped goes on to boot. Raises LeaseLost."""
    container, fresh = _held(operation)
    was = container.status
    container.halted_to_boot()
    fresh.during = operation.during = container.status
    fresh.save(update_fields=["during"])
    record(container, was, fresh, because="restarting")


@transaction.atomic
def end(operation: Operation, verdict: Verdict) -> None:
    """Write down what came of an Operation. Raises LeaseLost; and Unreachable where a container was
    moved to a node that has gone off-line since: it would not be Off-line like the others there."""
    container, fresh = _held(operation)
    if verdict.ok and fresh.target and not Node.objects.lock_online(fresh.target.pk):
        raise Unreachable(f"{fresh.target} is off-line")
    was, at = container.status, timezone.now()
    arrow = container.outcome(ok=verdict.ok)
    # Where the table has no arrow to what the node reports, the container goes back to what
    # it was, and the watcher's next look sets it right.
    allowed = getattr(arrow.target, "allowed_states", [verdict.now])
    getattr(container, arrow.name)(now=verdict.now if verdict.now in allowed else fresh.was)
    container.problem = verdict.error
    if verdict.ok and fresh.target_id:
        container.node = fresh.target
    # Of a container that still runs, no address only means that the node has not found it out yet.
    if verdict.address or verdict.ok or verdict.now != Status.RUNNING:
        container.address = verdict.address
    if container.is_nowhere:
        container.node, container.address = None, ""
    if fresh.kind == "create":
        _plan_next_try(container, verdict, at)

    fresh.outcome = Operation.Outcome.DONE if verdict.ok else Operation.Outcome.FAILED
    fresh.ended_at, fresh.held_until = at, None
    fresh.error, fresh.error_detail = verdict.error, verdict.detail
    if verdict.ok:
        fresh.progress = 100
    fresh.save()
    done = f"took {fresh.took}{', forced off' if fresh.forced else ''}"
    record(container, was, fresh, because=verdict.error or done, at=at)
    if fresh.kind == "create":
        creation_ended.send(sender=Container, container=container)


def _plan_next_try(container: Container, verdict: Verdict, at: datetime) -> None:
    """Plan to try a failed creation again after the next of CREATE_PAUSES; after the last, staff
    have to act."""
    if verdict.ok:
        container.create_tries, container.create_again_at = 0, None
        return
    pauses = settings.CREATE_PAUSES
    if container.create_tries < len(pauses):
        container.create_again_at = at + timedelta(seconds=pauses[container.create_tries])
    else:
        container.create_again_at = None
    container.create_tries += 1


def at_rest(was: str, *, running: bool) -> str:
    """The status at rest of a container that runs or not, as its node reports, and was in `was`."""
    if running:
        return Status.RUNNING
    return Status.REPAIRING if was == Status.REPAIRING else Status.STOPPED
