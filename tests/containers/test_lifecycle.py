"""Whatever people press and nodes do, in whatever order: the panel tells the truth in the end.

Sequences of requests, worker runs, killed workers, lost wake-ups, faults, tampering on the
nodes and looks of the watcher, made up at random. What must always hold is checked after each
step, what must hold in the end after the faults are gone and everything has settled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as django_settings
from django.db import transaction
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from containers import operations
from containers.drivers import Driver, Instance, NoSuchInstance, Power, Progress, Spec, Unreachable
from containers.drivers.simulated import Faults, SimulatedDriver
from containers.models import Container, Node, Operation
from containers.observe import Watcher
from containers.operations import NotAllowed, carrying
from containers.placement import NoNodeFits
from containers.statuses import NOWHERE, TRANSIENT, Status
from panel.models import User
from tests.cast import ContainerFactory, NodeFactory, power_of
from tests.conftest import Clock, Worker
from tests.containers.acts import Killed
from tests.tampering import simulated


class Fuse:
    """Kills the worker at one of its next calls to a node, before or after it has worked, or has
    the node say there what nobody has thought of."""

    left = 0
    blows: type[BaseException] = Killed

    def burn(self) -> None:
        if self.left:
            self.left -= 1
            if not self.left:
                raise self.blows


FUSE = Fuse()
# The containers whose monitors answer nobody, by name; their nodes do.
HANGING: set[str] = set()


class Fragile(SimulatedDriver):
    """A driver in a worker that may be killed around every call."""

    def instance(self, name: str) -> Instance | None:
        FUSE.burn()
        self._reach_monitor(name)
        return super().instance(name)

    def create(self, spec: Spec) -> Iterator[Progress]:
        yield from self._between(super().create(spec))

    def start(self, name: str) -> Iterator[Progress]:
        self._reach_monitor(name)
        yield from self._between(super().start(name))

    def stop(self, name: str, *, force: bool = False) -> Iterator[Progress]:
        self._reach_monitor(name)
        yield from self._between(super().stop(name, force=force))

    def delete(self, name: str, *, labels: Mapping[str, str] = {}) -> Iterator[Progress]:
        self._reach_monitor(name)
        yield from self._between(super().delete(name, labels=labels))

    def move(self, name: str, target: Driver) -> Iterator[Progress]:
        yield from self._between(super().move(name, target))

    def _reach_monitor(self, name: str) -> None:
        if name in HANGING:
            raise Unreachable("no answer in time")

    def _between(self, call: Iterator[Progress]) -> Iterator[Progress]:
        FUSE.burn()
        for progress in call:
            yield progress
            FUSE.burn()
        FUSE.burn()


class World:
    """Two nodes, three containers, the people who press buttons, and what goes wrong."""

    def __init__(
        self, lena: User, ada: User, worker: Worker, clock: Clock, watcher: Watcher, pace: float
    ) -> None:
        self.people = [lena, ada, None]
        self.worker, self.clock, self.watcher = worker, clock, watcher
        self.nodes = [NodeFactory.create(name=name, pace=pace) for name in ("node-a", "node-b")]
        self.pks = [
            ContainerFactory.create(customer=lena, node=self.nodes[0], status=status).pk
            for status in (Status.STOPPED, Status.RUNNING)
        ]
        self.pks.append(ContainerFactory.create(customer=lena, status=Status.ORDERED).pk)

    # --- what may happen -------------------------------------------------------------------

    def press(self, which: int, button: int) -> None:
        """A button that is there."""
        container = Container.objects.get(pk=self.pks[which])
        if buttons := container.actions_for(self.people[1]):
            self.ask(which, buttons[button % len(buttons)].name, 1)

    def ask(self, which: int, action: str, person: int) -> None:
        """A form that was kept, replayed or made up."""
        with suppress(NotAllowed, NoNodeFits):
            operations.request(self.pks[which], action, by=self.people[person])

    def work(self) -> None:
        with suppress(Killed):
            self.worker.carry_out_all()

    def kill_at(self, call: int) -> None:
        self._blow_at(call, Killed)

    def answer_oddly_at(self, call: int) -> None:
        self._blow_at(call, KeyError)

    def _blow_at(self, call: int, blows: type[BaseException]) -> None:
        FUSE.left, FUSE.blows = call, blows
        self.work()
        FUSE.left = 0

    def hang(self, which: int) -> None:
        """Its monitor, or that of one that hangs no longer does."""
        HANGING.symmetric_difference_update({f"ct-{self.pks[which]}"})

    def lose_wake_ups(self) -> None:
        self.worker.lose_everything()

    def fault(self, node: int, fault: str) -> None:
        faults = Faults(**{fault: True}) if fault else Faults()
        simulated(self.nodes[node]).set_faults(faults)

    def tamper(self, which: int, power: Power) -> None:
        for node in self.nodes:
            with suppress(NoSuchInstance):
                simulated(node).power(f"ct-{self.pks[which]}", power)

    def look(self) -> None:
        self.watcher.ask()
        self.watcher.collect(seconds=10)

    def wait(self, seconds: int) -> None:
        """Or the clock is set back by so much."""
        self.clock.advance(seconds)
        operations.sweep()

    def settle(self) -> None:
        """Nothing is wrong any more, and time passes."""
        for node in range(len(self.nodes)):
            self.fault(node, "")
        if HANGING:
            self._come_to_an_end()
        for _ in range(40):
            self.wait(60)
            self.look()
            self.work()
            self.check()
            waiting = Container.objects.filter(create_again_at__isnull=False)
            if not Operation.objects.open().exists() and not waiting.exists():
                break
        self.look()

    def _come_to_an_end(self) -> None:
        """Where nodes answer all work has an end, though a container does not; then it does."""
        for _ in range(4):
            self.wait(int(Container.deadline_of("migrate").total_seconds()))
            self.look()
            self.work()
            self.check()
        assert not Operation.objects.open().exclude(kind="create").exists()
        HANGING.clear()

    # --- what must hold ----------------------------------------------------------------------

    def check(self) -> None:
        for container in self.containers():
            open_ones = list(container.operations.open())
            if container.status in TRANSIENT:
                assert [operation.during for operation in open_ones] == [container.status]
            else:
                assert len(open_ones) <= (1 if container.status == Status.OFFLINE else 0)
            assert (container.node is None) == (container.status in NOWHERE)

            changes = list(container.changes.order_by("pk"))
            for earlier, later in pairwise(changes):
                assert later.from_status == earlier.to_status
            if changes:
                assert changes[-1].to_status == container.status

    def check_truth(self) -> None:
        for container in self.containers():
            status, seen = container.status, power_of(container)
            assert status not in {*TRANSIENT, Status.OFFLINE}
            expected = {Status.RUNNING: Power.RUNNING}.get(
                Status(status), None if status in NOWHERE else Power.STOPPED
            )
            assert seen == expected
            for node in self.nodes:
                if node != container.node:
                    assert simulated(node).instance(container.instance_name) is None
            ends = container.operations.exclude(outcome=Operation.Outcome.OPEN)
            assert ends.count() == container.operations.count()

    def check_nothing_happened_twice(self) -> None:
        """Each node's journal tells a story in which every effect follows from the last."""
        story = {
            ("absent", "created"): "stopped",
            ("absent", "moved_in"): "stopped",
            ("stopped", "started"): "running",
            ("running", "stopped"): "stopped",
            ("running", "forced"): "stopped",
            ("stopped", "moved_out"): "absent",
            ("stopped", "deleted"): "absent",
        }
        for node in self.nodes:
            power = dict.fromkeys((f"ct-{pk}" for pk in self.pks), "absent")
            for line in simulated(node).journal():
                name, did = line["instance"], line["did"]
                assert (power[name], did) in story, f"{did} a container that is {power[name]}"
                power[name] = story[power[name], did]
                if did == "created" and name == f"ct-{self.pks[1]}":
                    power[name] = "running"  # the factory made it so

    def containers(self) -> list[Container]:
        return list(Container.objects.filter(pk__in=self.pks).select_related("node"))


WHICH = st.integers(0, 2)
NODE = st.integers(0, 1)
STEPS = st.one_of(
    st.tuples(st.just("press"), WHICH, st.integers(0, 3)),
    st.tuples(st.just("ask"), WHICH, st.sampled_from(sorted(Container.actions())), WHICH),
    st.tuples(st.just("work")),
    st.tuples(st.just("kill_at"), st.integers(1, 8)),
    st.tuples(st.just("answer_oddly_at"), st.integers(1, 8)),
    st.tuples(st.just("hang"), st.integers(0, 1)),
    st.tuples(st.just("lose_wake_ups")),
    st.tuples(st.just("fault"), NODE, st.sampled_from(["", "unplugged", "failing", "full"])),
    st.tuples(st.just("tamper"), WHICH, st.sampled_from([Power.RUNNING, Power.STOPPED])),
    st.tuples(st.just("look")),
    st.tuples(st.just("wait"), st.sampled_from([1, 11, 40, 400, 10_000, -400, -100_000])),
)


@pytest.fixture
def a_world(
    lena: User, ada: User, worker: Worker, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Callable[[float], World]:
    """Makes a world of its own for each example, on empty nodes of this pace."""
    watcher, folder = Watcher(), Path(django_settings.DATA)

    def fragile(node: Node) -> Fragile:
        return Fragile(django_settings.DATA / "nodes" / node.name)

    monkeypatch.setattr(carrying, "connect", fragile)

    def make(pace: float) -> World:
        monkeypatch.setattr(django_settings, "DATA", folder / uuid4().hex)
        worker.lose_everything()
        FUSE.left = 0
        HANGING.clear()
        return World(lena, ada, worker, clock, watcher, pace)

    return make


def live_through(steps: list[tuple[Any, ...]], world: World) -> None:
    for name, *arguments in steps:
        note(f"{name} {arguments}")
        getattr(world, name)(*arguments)
        world.check()
    world.settle()
    world.check()
    world.check_truth()
    world.check_nothing_happened_twice()


USUAL: dict[str, Any] = {
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


@pytest.mark.django_db
@settings(max_examples=60, **USUAL)
@given(steps=st.lists(STEPS, min_size=4, max_size=25))
def test_the_panel_tells_the_truth_in_the_end(
    steps: list[tuple[Any, ...]], a_world: Callable[[float], World]
) -> None:
    with transaction.atomic():
        live_through(steps, a_world(0))
        transaction.set_rollback(True)


@pytest.mark.django_db
@settings(max_examples=20, **USUAL)
@given(steps=st.lists(STEPS, min_size=4, max_size=20))
def test_it_does_so_where_nodes_are_caught_in_the_middle_of_their_work(
    steps: list[tuple[Any, ...]], a_world: Callable[[float], World]
) -> None:
    with transaction.atomic():
        live_through(steps, a_world(0.01))
        transaction.set_rollback(True)
