"""The worker's side: take an Operation, do its steps on the node, and have its end concluded.

No transaction is open while a node works. A worker holds the Operation by a lease and renews
it while the node shows signs of life; one that dies lets go by itself.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import F
from django.utils import timezone
from huey.contrib.djhuey import task
from structlog.contextvars import bound_contextvars

from containers.connect import connect, spec_of
from containers.drivers import DriverError, Progress, Unreachable
from containers.models import Container, Operation
from containers.models.operation import LONGEST_PAUSE
from containers.operations import outcomes, work
from containers.operations.claiming import claim, renew
from containers.operations.concluding import ATTEMPTS, Overdue, conclude, odd_answers
from containers.operations.outcomes import LeaseLost
from containers.statuses import Status
from panel.outage import OutageLog

logger = logging.getLogger(__name__)
_database = OutageLog(logger, "work goes on as soon as it is back")


class Hardened(Exception):
    """The plug is to be pulled now: begin the steps again, with force."""


class Restored(DriverError):
    """The Operation was open in a back-up that was restored: nothing is done for it any more."""

    sentence = (
        "This was under way when the back-up was made from which the panel was restored, and was "
        "not taken up again. Ask for it once more if it is still wanted."
    )
    final = True


# Seconds between two writes of progress and lease: often enough to watch, seldom enough for
# a database that a hundred operations share.
PULSE = 1.0
# How long a move may take in all, even if it is seen copying all the time.
LONGEST_COPY = timedelta(days=2)


def wake(operation_id: int) -> None:
    """Have a worker look at this Operation once the transaction is committed. The call may
    get lost or come twice: the row decides."""
    # No partial: it has no __qualname__, by which Django logs a callback that has failed.
    transaction.on_commit(lambda: _enqueue_or_leave(operation_id), robust=True)


def _enqueue_or_leave(operation_id: int) -> None:
    """Put a wake-up into the queue, or else mark the row so that the next sweep finds it."""
    if not enqueue(operation_id):
        asleep = F("not_before") - timedelta(seconds=1)
        Operation.objects.filter(pk=operation_id).update(woken_at=asleep)


def enqueue(operation_id: int) -> bool:
    """Put a wake-up into the queue. Returns whether the queue has taken it; never raises."""
    try:
        carry_out_soon(operation_id)
    except Exception as error:  # each kind of queue has its own
        logger.error("operation %s: the queue takes no wake-up: %s", operation_id, error)
        return False
    return True


@task()
def carry_out_soon(operation_id: int) -> None:
    """The queue's task. If the database is gone, the row still says what it said before, and the
    sweep finds it again."""
    try:
        _carry_out_connected(operation_id)
    except (DatabaseError, InterfaceError) as error:
        if not _database.report(error):
            raise
    else:
        _database.recovered()


def _carry_out_connected(operation_id: int) -> None:
    """Carry it out; if the connection turns out to be dead (the server was restarted), once more on
    a new one. To check the connection beforehand would slow down every click."""
    try:
        carry_out(operation_id)
    except (DatabaseError, InterfaceError):
        if connection.in_atomic_block or connection.is_usable():
            raise
        connection.close()
        carry_out(operation_id)


def carry_out(operation_id: int) -> None:
    """Take the Operation and bring it to its end, or let go of it to be taken up again.

    Does nothing where another worker holds it, it is not due, or its node is off-line or has as
    many in hand as it may. Never raises for what a node does.
    """
    operation = claim(operation_id)
    if operation is None:
        return
    with bound_contextvars(
        operation=operation.pk,
        request_id=operation.request_id,
        node=str(operation.container.node),
    ):
        # The log tells of a first attempt by its call to the node, and to write one more line would
        # delay the click.
        level = logging.DEBUG if operation.attempts == 1 else logging.INFO
        fields = {"kind": operation.kind, "attempts": operation.attempts}
        logger.log(level, "carrying out", extra=fields)
        try:
            _attempt(operation)
        except LeaseLost:
            logger.warning("operation %s: taken over or interrupted", operation.pk)
        finally:
            _wake_next(operation)


def _wake_next(operation: Operation) -> None:
    """Wake a worker for the Operation that has waited longest for this node: its own wake-up may
    have come while the node had as many in hand as it may, or its worker may have died."""
    now = timezone.now()
    waiting = Operation.objects.open().free(now).due(now).filter(node=operation.node_id)
    first = waiting.order_by("woken_at", "pk").values_list("pk", "woken_at")
    for operation_id, woken_at in first[: settings.NODE_CONCURRENCY]:
        # Marked as woken, so that two Operations that end together wake two different ones.
        unmarked = Operation.objects.filter(pk=operation_id, woken_at=woken_at)
        if unmarked.update(woken_at=now):
            wake(operation_id)
            return


def _job(operation: Operation) -> work.Job:
    container = operation.container
    assert container.node is not None, "work is always on a node"
    return work.Job(
        kind=operation.kind,
        node=connect(container.node),
        target=connect(operation.target) if operation.target else None,
        spec=spec_of(container),
        was=operation.was,
        during=operation.during,
        forced=operation.forced,
        restored=operation.restored,
    )


def _attempt(operation: Operation) -> None:
    """Do the steps, then conclude from what the node reports, whatever the steps said."""
    failure: DriverError | None = None
    try:
        with odd_answers(operation):
            _do_steps(operation)
    except DriverError as error:
        failure = error
    try:
        with odd_answers(operation):
            job = _job(operation)
        conclude(operation, job, failure)
    except DriverError as error:
        _release(operation, error)


def _do_steps(operation: Operation) -> None:
    if operation.restored:
        raise Restored("it was open in a back-up")
    if operation.attempts <= ATTEMPTS:
        try:
            _follow(operation)
        except Hardened:
            _follow(operation)


def _follow(operation: Operation) -> None:
    """Do the steps from the first, renewing the lease with each sign of life. Raises what the
    driver raises, Hardened (at most once) where the plug is to be pulled, Overdue, and
    LeaseLost."""
    last_pulse: float | None = None
    copied = ""
    # A move begins by shutting the system down, even if it was not known to run.
    halting = operation.during in {Status.STOPPING, Status.MIGRATING}
    for step in work.steps(_job(operation)):
        if not isinstance(step, Progress):
            halting, operation.halting_seconds = False, 0.0
            if step is work.Mark.HALF_WAY:
                outcomes.half_way(operation)
            continue
        now = time.monotonic()
        if last_pulse is not None and now - last_pulse < PULSE:
            continue
        # Measured between steps, by a clock that nobody can set: only time in which the system
        # inside was seen shutting down counts.
        if halting and last_pulse is not None:
            operation.halting_seconds += now - last_pulse
        last_pulse = now
        more_time = _more_time(operation) if step.copied != copied else {}
        copied = step.copied
        _pulse(operation, step, **more_time)
        if halting and not operation.forced:
            _harden_when_due(operation)


def _more_time(operation: Operation) -> dict[str, datetime]:
    """Begin the time of a move anew, since it has copied more: a deadline is for what hangs. Not
    for ever, as over a line that keeps breaking a copy begins again and again. Returns what else
    has to be written of it."""
    now = timezone.now()
    if now > operation.asked_at + LONGEST_COPY:
        return {}
    operation.deadline_at = now + Container.deadline_of(operation.kind)
    return {"started_at": now}


def _pulse(operation: Operation, progress: Progress, **more: datetime) -> None:
    renew(operation, progress=progress.percent, step=progress.words, **more)
    if (progress.percent, progress.words) != (operation.progress, operation.step):
        operation.progress, operation.step = progress.percent, progress.words
        Container.objects.filter(pk=operation.container_id).update(revision=F("revision") + 1)
    now = timezone.now()
    if now > operation.deadline_at:
        raise Overdue(f"not done after {now - operation.asked_at}")


def _harden_when_due(operation: Operation) -> None:
    """Raise Hardened once somebody has pressed Force off, or the system inside was seen shutting
    down for STOP_LIMIT. Time in which nothing was seen of it does not count: it may not have been
    asked to shut down yet."""
    held = Operation.objects.held_as(operation)
    if operation.halting_seconds > settings.STOP_LIMIT.total_seconds():
        held.update(forced=True)
    if held.filter(forced=True).exists():
        operation.forced = True
        raise Hardened


def _release(operation: Operation, error: DriverError) -> None:
    """Let go of it, to be tried again after a pause. No attempt is counted where the node does not
    answer. Raises LeaseLost."""
    pause = timedelta(seconds=min(2**operation.attempts, LONGEST_PAUSE.seconds))
    spent = 0 if isinstance(error, Unreachable) else 1
    held = Operation.objects.held_as(operation)
    if not held.update(
        held_by="",
        held_until=None,
        not_before=timezone.now() + pause,
        attempts=operation.attempts - 1 + spent,
        halting_seconds=operation.halting_seconds,
        error_detail=error.detail,
    ):
        raise LeaseLost
    Container.objects.filter(pk=operation.container_id).exclude(problem=error.sentence).update(
        problem=error.sentence, revision=F("revision") + 1
    )
