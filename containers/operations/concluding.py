"""The end of a try: the node is asked what is true, and only what it says is written down."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from containers.drivers import Conflict, DriverError, Power, Progress
from containers.models import Operation
from containers.operations import outcomes, work
from containers.operations.claiming import renew, renew_if_due
from containers.operations.outcomes import LeaseLost, Verdict
from containers.statuses import Status

logger = logging.getLogger(__name__)


class Overdue(DriverError):
    """The deadline has passed; the node is asked what became of it."""

    sentence = "This took longer than it should and was given up. It can be tried again."
    final = True


class PowerUnknown(DriverError):
    """The deadline has passed, and the node answers, but cannot say whether the container runs: it
    is busy with it, or in trouble. Whatever it says later is seen by the watcher."""

    sentence = "The node cannot say whether this container runs. Support has to look at it there."
    final = True


# Tries of the steps before an Operation is given up, a killed worker counted as one.
ATTEMPTS = 10
# How long it may take to put right what failed steps have left.
UNDOING = timedelta(minutes=10)


def conclude(operation: Operation, job: work.Job, failure: DriverError | None) -> None:
    """Ask the node what is true after the steps have ended, with `failure` or without, and write
    it down. Raises a DriverError where nothing can be concluded yet, and LeaseLost."""
    seen = _look(operation, job)
    if not work.complete(job, seen):
        failure = _given_up(operation, failure or _not_as_asked(seen))
        _undo(operation, job)
        seen = _look(operation, job)
    if not seen.is_conclusive:
        failure = _power_unknown(operation, failure or _not_as_asked(seen))

    verdict = _verdict(job, seen, failure)
    half_done = job.kind == "restart" and job.during == Status.STOPPING
    if half_done and not verdict.ok and verdict.now == Status.STOPPED:
        outcomes.half_way(operation)
    outcomes.end(operation, verdict)
    _log(operation, verdict)


@contextmanager
def odd_answers(operation: Operation) -> Iterator[None]:
    """Turn an exception that nobody has foreseen, such as an odd answer of a node causes, into a
    DriverError."""
    try:
        yield
    except (DriverError, LeaseLost, DatabaseError, InterfaceError):
        raise
    except Exception as error:
        logger.exception("operation %s", operation.pk)
        raise DriverError(repr(error)) from error


def _look(operation: Operation, job: work.Job) -> work.Seen:
    """What the node reports. Past the deadline its list of instances will do: the question about
    this one may hang, or be answered in an odd way, while the node answers otherwise."""
    renew_if_due(operation)
    with odd_answers(operation):
        try:
            return work.look(job)
        except Exception:
            if not _is_overdue(operation):
                raise
        renew_if_due(operation)
        return work.look_on_lists(job)


def _is_overdue(operation: Operation) -> bool:
    return timezone.now() >= operation.deadline_at


def _not_as_asked(seen: work.Seen) -> Conflict:
    """The failure where the steps raised none, and the node does not report what was asked for."""
    return Conflict(f"the node reports {seen.power or 'nothing'}")


def _given_up(operation: Operation, failure: DriverError) -> DriverError:
    """The failure that is written down for an Operation that has failed for good. Raises `failure`
    where there is to be another try."""
    if failure.final:
        return failure
    overdue = _is_overdue(operation)
    if operation.attempts < ATTEMPTS and not overdue:
        raise failure
    # The sentence of a failure may say “It will be tried again”: true of a creation alone.
    return failure if operation.kind == "create" and not overdue else Overdue(failure.detail)


def _power_unknown(operation: Operation, failure: DriverError) -> DriverError:
    """The failure that is written down where the node cannot tell. Raises Conflict before the
    deadline: then it is asked again."""
    if not _is_overdue(operation):
        raise Conflict(failure.detail)
    return PowerUnknown(failure.detail)


def _undo(operation: Operation, job: work.Job) -> None:
    """Put right what the failed steps left. What the node refuses for good, or does not finish in
    time, is left for staff; past the deadline also what it does not answer or is too busy for."""
    until = timezone.now() + UNDOING
    renew_if_due(operation)
    try:
        with odd_answers(operation):
            for step in work.undo(job):
                if isinstance(step, Progress):
                    renew(operation)
                if timezone.now() > until:
                    raise Overdue(f"not put right after {UNDOING}")
    except DriverError as error:
        if not (error.final or _is_overdue(operation)):
            raise
        logger.warning("operation %s: left behind: %s", operation.pk, error.detail)


def _verdict(job: work.Job, seen: work.Seen, failure: DriverError | None) -> Verdict:
    """What the node's report means. One that is not conclusive still says on which node it is."""
    running = seen.power is Power.RUNNING
    well = seen.is_conclusive and work.complete(job, seen)
    return Verdict(
        ok=work.reached(job, seen),
        now=outcomes.at_rest(job.was, running=running) if seen.is_conclusive else job.was,
        address=seen.instance.address if seen.instance else "",
        error=failure.sentence if failure and not well else "",
        detail=failure.detail if failure else "",
    )


def _log(operation: Operation, verdict: Verdict) -> None:
    """A line in the log for what has been written down."""
    fields = {
        "kind": operation.kind,
        "container": operation.container_id,
        "outcome": Operation.Outcome.DONE if verdict.ok else Operation.Outcome.FAILED,
        "attempts": operation.attempts,
        "seconds": round((timezone.now() - operation.asked_at).total_seconds(), 1),
        "error": verdict.detail,
    }
    logger.info("operation ended", extra=fields)
