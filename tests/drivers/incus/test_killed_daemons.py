"""Whenever the daemon of a node is killed: once it is back, the work is concluded, and the
container is once, and where the panel says."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from containers import operations
from containers.connect import spec_of
from containers.drivers import Power
from containers.drivers.incus import Client, IncusDriver
from containers.models import Container, Node, Operation
from containers.observe import Watcher
from containers.statuses import Status
from panel.models import User
from tests.cast import ContainerFactory
from tests.conftest import Clock, Worker
from tests.containers.acts import fresh, last_operation, look
from tests.drivers.conftest import PATIENCE, finish
from tests.incus_node import IMAGE, IncusNode

pytestmark = [pytest.mark.incus, pytest.mark.django_db]

_numbers = count(os.getpid() * 1000)

# What a container is before the work, and what it is to be afterwards.
BEFORE = {
    "create": Status.ORDERED,
    "start": Status.STOPPED,
    "stop": Status.RUNNING,
    "destroy": Status.STOPPED,
    "migrate": Status.STOPPED,
}
AFTER = BEFORE | {
    "create": Status.STOPPED,
    "start": Status.RUNNING,
    "stop": Status.STOPPED,
    "destroy": Status.DESTROYED,
}


@dataclass(frozen=True)
class Place:
    """A node: its daemon, its row, and a driver that asks it behind the panel's back."""

    daemon: IncusNode
    row: Node
    driver: IncusDriver


@dataclass(frozen=True)
class Panel:
    """The panel with two nodes, one of which dies."""

    places: list[Place]
    customer: User
    worker: Worker
    clock: Clock

    def put(self, status: Status) -> Container:
        here = self.places[0]
        on = None if status == Status.ORDERED else here.row
        container: Container = ContainerFactory.create(
            pk=next(_numbers), customer=self.customer, status=status, node=on, image=IMAGE,
            memory_mb=128, disk_gb=1, on_node=False,
        )  # fmt: skip
        if on is not None:
            finish(here.driver.create(spec_of(container)))
            if status == Status.RUNNING:
                finish(here.driver.start(container.instance_name))
        return container

    def conclude(self, container: Container) -> None:
        """Let time pass, with looks and sweeps, until nothing is under way."""
        watcher, deadline, turns = Watcher(), time.monotonic() + PATIENCE, count()
        while Operation.objects.open().filter(container=container).exists():
            assert time.monotonic() < deadline, last_operation(container).error_detail
            look(watcher)
            self.clock.advance(10)
            operations.sweep()
            self.worker.carry_out_all()
            # A daemon that takes its time gets it, before the panel's tries are used up.
            time.sleep(0.1 if next(turns) < 10 else 1)

    def check_done(self, container: Container, ends: Status) -> None:
        """The work is done, once."""
        container = fresh(container)
        assert (container.status, container.problem) == (ends, "")
        assert last_operation(container).outcome == Operation.Outcome.DONE
        assert container.operations.count() == 1

    def check_once(self, container: Container, ends: Status) -> None:
        """Nodes and database say the same, and nothing half-made is left."""
        container = fresh(container)
        assert container.status == ends
        name = container.instance_name
        found = {place.row: place.driver.look(name) for place in self.places}
        having = {row: each for row, each in found.items() if each}
        if ends == Status.DESTROYED:
            assert not having
            return
        assert list(having) == [container.node]
        [seen] = having.values()
        assert seen.is_whole
        assert seen.power is (Power.RUNNING if ends == Status.RUNNING else Power.STOPPED)

    def clear(self, container: Container) -> None:
        name = container.instance_name
        for place in self.places:
            if place.driver.instance(name):
                finish(place.driver.stop(name, force=True))
                finish(place.driver.delete(name))


@pytest.fixture
def panel_on(
    request: pytest.FixtureRequest,
    settings: Any,
    identity: Path,
    lena: User,
    worker: Worker,
    clock: Clock,
) -> Iterator[Callable[[str], Panel]]:
    """`panel_on("servers")`, or on the `members` of a cluster; whatever was killed runs again
    at the end."""
    settings.INCUS_IDENTITY = identity
    used: list[Place] = []

    def make(kind: str) -> Panel:
        daemons = request.getfixturevalue(kind)
        drivers = request.getfixturevalue(
            {"servers": "incus_drivers", "members": "member_drivers"}[kind]
        )
        for number, (daemon, driver) in enumerate(zip(daemons, drivers, strict=True)):
            used.append(Place(daemon, row_of(driver, f"real-{number}"), driver))
        return Panel(used, lena, worker, clock)

    yield make
    for place in used:
        if not place.daemon.is_up:
            place.daemon.start()


def row_of(driver: IncusDriver, name: str) -> Node:
    how = {
        "address": driver.server.address,
        "certificate": driver.server.certificate,
        "project": driver.server.project,
        "pool": driver.pool,
        "member": driver.member,
    }
    row = Node.objects.create(
        name=name, kind=Node.Kind.INCUS, settings=how, cpus=8, memory_mb=65536, disk_gb=500
    )
    row.images.create(name=IMAGE)
    return row


class Death:
    """SIGKILL for the daemon of a node, so many seconds after the `moment`th change that the
    panel asks for has been accepted, by whichever server."""

    def __init__(self, place: Place, moment: int, after: float = 0) -> None:
        self.place, self.moment, self.after = place, moment, after
        self.came = False

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        moments, change = count(1), Client.change

        def watched(client: Client, *arguments: Any, **others: Any) -> dict[str, Any]:
            answer = change(client, *arguments, **others)
            if next(moments) == self.moment:
                time.sleep(self.after)
                self.place.daemon.kill()
                self.came = True
            return answer

        monkeypatch.setattr(Client, "change", watched)


def interrupt(
    panel: Panel, doing: str, by: User, death: Death, monkeypatch: pytest.MonkeyPatch
) -> Container:
    """One piece of work, in the middle of which a daemon dies and comes back."""
    container = panel.put(BEFORE[doing])
    target = panel.places[1].row.pk if doing == "migrate" else None
    with monkeypatch.context() as patched:
        death.watch(patched)
        operations.request(container.pk, doing, by=by, target=target)
        panel.worker.carry_out_all()
    if death.came:
        operation = last_operation(container)
        look(Watcher(), times=3)
        if operation.is_open and operation.node == death.place.row:
            assert fresh(container).status == Status.OFFLINE
        death.place.daemon.start()
    panel.conclude(container)
    panel.check_once(container, AFTER[doing])
    return container


@pytest.mark.parametrize("doing", ["create", "start", "stop", "destroy"])
def test_work_whose_daemon_is_killed_at_any_step_is_done_once_it_is_back(
    doing: str, panel_on: Callable[[str], Panel], ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = panel_on("servers")
    Node.objects.filter(pk=panel.places[1].row.pk).update(in_service=False)
    for moment in count(1):
        death = Death(panel.places[0], moment)
        container = interrupt(panel, doing, ada, death, monkeypatch)
        panel.check_done(container, AFTER[doing])
        panel.clear(container)
        if not death.came:
            break
    assert moment > 1


@pytest.mark.parametrize("who", [0, 1], ids=["source", "target"])
def test_a_move_between_servers_outlives_either_daemon_at_any_step(
    who: int, panel_on: Callable[[str], Panel], ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = panel_on("servers")
    # The first two only prepare it, at the source.
    for moment in count(3):
        death = Death(panel.places[who], moment)
        container = interrupt(panel, "migrate", ada, death, monkeypatch)
        panel.check_done(container, Status.STOPPED)
        panel.clear(container)
        if not death.came:
            break
    assert moment > 5


@pytest.mark.parametrize("who", [0, 1], ids=["source", "target"])
def test_a_move_within_a_cluster_outlives_either_daemon(
    who: int, panel_on: Callable[[str], Panel], ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = panel_on("members")
    death = Death(panel.places[who], 1, after=0.15)
    container = interrupt(panel, "migrate", ada, death, monkeypatch)
    assert death.came
    # Incus may leave the half-copied volume of a killed member, and then refuses to copy there.
    operation = last_operation(container)
    if operation.outcome == Operation.Outcome.FAILED:
        assert fresh(container).node == operation.node
        assert "already exists on migration target" in operation.error_detail
    else:
        panel.check_done(container, Status.STOPPED)
    panel.clear(container)
