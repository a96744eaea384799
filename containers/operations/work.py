"""What each kind of Operation asks of the nodes: a plain list of steps, safe to repeat.

A function here is named for the action whose work it does. It knows no row and no
transaction; what the node does comes up as `Progress`, and a `Mark` once the system inside has
been shut down.
`undo` holds what has to be put right after a failure, `reached` says what counts as
success once the node has been asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from containers.drivers import Conflict, Driver, Instance, Power, Progress, Refused, Spec
from containers.statuses import Status


class Mark(Enum):
    """The system inside has been shut down: HALF_WAY where a restart goes on to boot, HALTED where
    a move goes on to copy."""

    HALF_WAY = "half-way"
    HALTED = "halted"


Steps = Iterator[Progress | Mark]


@dataclass(frozen=True)
class Job:
    """Everything that the steps need: plain values and the drivers of the nodes involved. `kind`
    is the action whose work it is. What is `restored` comes out of a back-up: nothing may be done
    for it."""

    kind: str
    node: Driver
    target: Driver | None
    spec: Spec
    was: str
    during: str
    forced: bool
    restored: bool = False

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def was_running(self) -> bool:
        return self.was == Status.RUNNING


@dataclass(frozen=True)
class Seen:
    """What the nodes were found to have: the instance as one of them reports it, and whether it is
    on the target and only there."""

    instance: Instance | None
    at_target: bool = False

    @property
    def power(self) -> Power | None:
        return self.instance.power if self.instance else None

    @property
    def is_conclusive(self) -> bool:
        """Whether the report says what has become of the container: it runs, is stopped, or is not
        there."""
        return self.power in {None, Power.RUNNING, Power.STOPPED}


def steps(job: Job) -> Steps:
    """The steps of its kind. Raises Refused where an instance of this name was made for another
    container."""
    for node in filter(None, (job.node, job.target)):
        if _is_another(job, node.instance(job.name)):
            raise Refused(
                f"{job.name} on the node was made for another container",
                "The node has another container in its place: a case for support.",
            )
    yield from STEPS[job.kind](job)


def create(job: Job) -> Steps:
    yield from job.node.create(job.spec)


def start(job: Job) -> Steps:
    yield from job.node.start(job.name)


def stop(job: Job) -> Steps:
    yield from job.node.stop(job.name, force=job.forced)


def restart(job: Job) -> Steps:
    if job.during == Status.STOPPING:
        yield from job.node.stop(job.name, force=job.forced)
        yield Mark.HALF_WAY
    yield from job.node.start(job.name)


def migrate(job: Job) -> Steps:
    assert job.target is not None
    if job.target.instance(job.name) is None:
        # Before anything is stopped for it.
        job.node.check_move(job.name, job.target)
        # One that is on its way already is too busy to be stopped; its move is joined below.
        with suppress(Conflict):
            yield from job.node.stop(job.name, force=job.forced)
    yield Mark.HALTED
    try:
        yield from job.node.move(job.name, job.target)
    except Refused as refusal:
        here = job.node.instance(job.name)
        if here is None or here.power is not Power.RUNNING:
            raise
        # Too busy to be stopped, or somebody there has started it since: stop it once more.
        raise Conflict(refusal.detail) from refusal
    if job.was_running:
        yield from job.target.start(job.name)


def destroy(job: Job) -> Steps:
    yield from job.node.delete(job.name, labels=job.spec.labels)


STEPS: dict[str, Callable[[Job], Steps]] = {
    step.__name__: step for step in (create, start, stop, restart, migrate, destroy)
}


def undo(job: Job) -> Steps:
    """Put right what a failed try has left: delete half a container, and start again what was
    running."""
    if job.restored:
        return
    if job.kind == "create":
        yield from job.node.delete(job.name, labels=job.spec.labels)
    elif job.kind == "migrate" and _its_own(job, job.node):
        assert job.target is not None
        if job.was_running:
            # First of all, so that it is down no longer than it must be. While it is still being
            # copied the node refuses: then it is started once the copy was given up.
            with suppress(Conflict):
                yield from job.node.start(job.name)
        yield from job.node.give_up_move(job.name, job.target)
        if job.was_running:
            yield from job.node.start(job.name)


def look(job: Job) -> Seen:
    """What the nodes have of it now. An instance that was made for another container does not
    count.

    Raises Unreachable; then nothing is known.
    """
    here = _its_own(job, job.node)
    if here is not None or job.target is None:
        return Seen(here)
    there = _its_own(job, job.target)
    return Seen(there, at_target=there is not None)


def _its_own(job: Job, node: Driver) -> Instance | None:
    found = node.instance(job.name)
    return None if _is_another(job, found) else found


def _is_another(job: Job, found: Instance | None) -> bool:
    """Whether what a node has under this name was made for another container."""
    return found is not None and found.is_another(job.spec.labels)


def look_on_lists(job: Job) -> Seen:
    """The same from the nodes' lists of instances, for one that gives no answer itself. One that is
    on no list may still be there: its power counts as ERROR. A creation counts as not done.

    Raises Unreachable where they do not answer either.
    """
    here = _on_list(job, job.node)
    there = _on_list(job, job.target) if job.target and not here else None
    if job.kind == "create":
        return Seen(None)
    found = here or there or Instance(job.name, Power.ERROR)
    return Seen(found, at_target=there is not None)


def _on_list(job: Job, node: Driver) -> Instance | None:
    found = node.instances().get(job.name)
    return None if found is None or found.by_hand or _is_another(job, found) else found


def reached(job: Job, seen: Seen) -> bool:
    """Whether what the node reports is what was asked for."""
    match job.kind:
        case "create":
            return seen.instance is not None
        case "start":
            return seen.power is Power.RUNNING
        case "stop":
            return seen.power is Power.STOPPED
        case "restart":
            return seen.power is Power.RUNNING and job.during == Status.BOOTING
        case "migrate":
            return seen.at_target
        case "destroy":
            # Since the back-up it may have been moved to any other node.
            return seen.instance is None and not job.restored
        case _:
            raise ValueError(f"no work is called {job.kind}")


def complete(job: Job, seen: Seen) -> bool:
    """Whether it is `reached`, with nothing left to do: what ran before a move has to run again."""
    runs_as_before = job.kind != "migrate" or not job.was_running or seen.power is Power.RUNNING
    return runs_as_before and reached(job, seen)
