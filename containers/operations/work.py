"""What each kind of Operation asks of the nodes: a plain list of steps, safe to repeat.

A function here is named for the action whose work it does. It knows no row and no
transaction; what the node does comes up as `Progress`, and a `Mark` once the system inside has
been shut down: `HALF_WAY` where a restart goes on to boot, `HALTED` where a move goes on to copy.
`undo` holds what has to be put right after a failure, `reached` says what counts as
success once the node has been asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final

from containers.drivers import (
    Conflict,
    Driver,
    Instance,
    NoSuchInstance,
    Power,
    Progress,
    Refused,
    Spec,
)
from containers.statuses import Status


class Mark(Enum):
    HALF_WAY = "half-way"
    HALTED = "halted"


HALF_WAY: Final = Mark.HALF_WAY
HALTED: Final = Mark.HALTED
Steps = Iterator[Progress | Mark]


@dataclass(frozen=True)
class Job:
    """Everything that the steps need: plain values and the drivers of the nodes involved. What
    is `restored` comes out of a back-up: nothing may be done for it."""

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


def create(job: Job) -> Steps:
    if is_another(job):
        raise Refused(f"{job.name} on the node was made for another container")
    yield from job.node.create(job.spec)


def start(job: Job) -> Steps:
    yield from job.node.start(job.name)


def stop(job: Job) -> Steps:
    yield from job.node.stop(job.name, force=job.forced)


def restart(job: Job) -> Steps:
    if job.during == Status.STOPPING:
        yield from job.node.stop(job.name, force=job.forced)
        yield HALF_WAY
    yield from job.node.start(job.name)


def migrate(job: Job) -> Steps:
    assert job.target is not None
    if job.target.instance(job.name) is None:
        # Before anything is stopped for it.
        job.node.check_move(job.name, job.target)
        # One that is on its way already is too busy to be stopped; its move is joined below.
        with suppress(Conflict):
            yield from job.node.stop(job.name, force=job.forced)
    yield HALTED
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
    yield from job.node.delete(job.name)


STEPS: dict[str, Callable[[Job], Steps]] = {
    step.__name__: step for step in (create, start, stop, restart, migrate, destroy)
}


def undo(kind: str, job: Job) -> Steps:
    """Put right what a failed try left: no half container anywhere, and running what was
    running."""
    if job.restored:
        return
    if kind == "create":
        if not is_another(job):
            yield from job.node.delete(job.name)
    elif kind == "migrate" and job.node.instance(job.name):
        assert job.target is not None
        if job.was_running:
            # Before anything is cleared away; what is being copied runs once that is given up.
            with suppress(Conflict):
                yield from job.node.start(job.name)
        yield from job.node.give_up_move(job.name, job.target)
        if job.was_running:
            yield from job.node.start(job.name)


def is_another(job: Job) -> bool:
    """Whether what the node has under this name was made for another container of the same
    number: one of a database that has gone back in time since. One without the marks that are
    compared is not."""
    try:
        labels = job.node.describe(job.name).labels
    except NoSuchInstance:
        return False
    return any(labels.get(mark, value) != value for mark, value in job.spec.labels.items())


def look(kind: str, job: Job) -> tuple[Instance | None, bool]:
    """The instance as its node reports it, and whether it is at the target and only there. What
    a creation has met and is another's does not count.

    Raises Unreachable; then nothing is known.
    """
    here = job.node.instance(job.name)
    if here is not None and kind == "create" and is_another(job):
        return None, False
    if here is not None or job.target is None:
        return here, False
    there = job.target.instance(job.name)
    return there, there is not None


def reached(kind: str, job: Job, seen: Instance | None, at_target: bool) -> bool:
    """Whether what the node reports is what was asked for."""
    if kind == "destroy":
        # Since the back-up it may have been moved to any other node.
        return seen is None and not job.restored
    if seen is None:
        return False
    wanted = {
        "create": True,
        "start": seen.power is Power.RUNNING,
        "stop": seen.power is Power.STOPPED,
        "restart": seen.power is Power.RUNNING and job.during == Status.BOOTING,
        "migrate": at_target,
    }
    return wanted[kind]


def complete(kind: str, job: Job, seen: Instance | None, at_target: bool) -> bool:
    """Whether nothing is left to be done, either: what ran before a move runs after it."""
    runs = seen is not None and seen.power is Power.RUNNING
    resting = kind != "migrate" or not job.was_running or runs
    return resting and reached(kind, job, seen, at_target)
