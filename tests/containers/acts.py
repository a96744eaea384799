"""What tests of work do and look at, again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from containers import operations
from containers.connect import simulated
from containers.drivers.simulated import Faults
from containers.models import Container, Node, Operation
from containers.observe import Watcher
from containers.operations import work
from panel.models import User
from tests.conftest import Clock, Worker

Steps = Callable[[work.Job], work.Steps]


class Killed(BaseException):
    """The worker's process is gone."""


def broken(node: Node, **faults: bool) -> None:
    simulated(node).set_faults(Faults(**faults))


def history(container: Container) -> list[tuple[str, str]]:
    changes = container.changes.order_by("pk")
    return [(change.from_status, change.to_status) for change in changes]


def fresh(container: Container) -> Container:
    return Container.objects.get(pk=container.pk)


def last_operation(container: Container) -> Operation:
    return container.operations.latest("pk")


def ask_and_wait(
    container: Container, action: str, worker: Worker, by: User, **more: Any
) -> Container:
    operations.request(container.pk, action, by=by, **more)
    worker.carry_out_all()
    return fresh(container)


def settle(container: Container, worker: Worker, clock: Clock) -> Container:
    """Let time pass, with its sweeps, until nothing is under way."""
    for _ in range(40):
        if not fresh(container).operation:
            break
        clock.advance(31)
        operations.sweep()
        worker.carry_out_all()
    return fresh(container)


def look(watcher: Watcher, times: int = 1) -> None:
    """So many beats of the watcher, each with all the time it wants."""
    for _ in range(times):
        watcher.ask()
        watcher.collect(seconds=10)
