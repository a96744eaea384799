"""The plug: Force off, and what is pulled by itself where stopping takes for ever."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from containers import operations
from containers.connect import spec_of
from containers.drivers import Conflict, Power, Progress, Unreachable
from containers.drivers.simulated import SimulatedDriver
from containers.models import Container, Node
from containers.observe import Watcher
from containers.operations import NotAllowed, carrying, work
from containers.statuses import Status
from panel.models import User
from tests.cast import (
    ContainerFactory,
    effects_on,
    power_of,
    set_pace,
)
from tests.conftest import Clock, Worker
from tests.containers.acts import Killed, ask_and_wait, broken, fresh, history, last_operation, look
from tests.containers.trouble import Trouble, VirtualTime, killed
from tests.tampering import simulated

pytestmark = pytest.mark.django_db


@pytest.fixture
def stubborn(lena: User, node: Node) -> Container:
    """Runs, and ignores every gentle stop."""
    container = ContainerFactory.create(
        customer=lena, status=Status.RUNNING, node=node, on_node=False
    )
    simulated(node).seed(spec_of(container), Power.RUNNING, stubborn=True)
    return container


@pytest.fixture
def time_passes(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test's clock is advanced by has passed, and was not set."""
    monkeypatch.setattr(carrying, "time", VirtualTime(clock))


def test_force_off_hardens_the_open_operation_instead_of_opening_a_second(
    stubborn: Container,
    lena: User,
    ada: User,
    node: Node,
    worker: Worker,
    clock: Clock,
    meanwhile: Any,
    settings: Any,
) -> None:
    def force() -> None:
        with pytest.raises(NotAllowed):
            operations.request(stubborn.pk, "force_off", by=ada)
        clock.advance(by=settings.STOP_PATIENCE)
        with pytest.raises(NotAllowed):
            operations.request(stubborn.pk, "force_off", by=lena)
        forced = operations.request(stubborn.pk, "force_off", by=ada)
        assert forced == last_operation(stubborn)

    meanwhile("stop", force)
    container = ask_and_wait(stubborn, "stop", worker, lena)
    assert (container.status, container.problem) == (Status.STOPPED, "")
    assert power_of(container) is Power.STOPPED
    assert effects_on(node, of=container)[-1] == "forced"
    assert container.operations.count() == 1
    assert last_operation(container).forced
    assert history(container) == [
        ("running", "stopping"),
        ("stopping", "stopping"),
        ("stopping", "stopped"),
    ]
    assert [change.by for change in container.changes.order_by("pk")] == [lena, ada, None]


def test_once_the_plug_is_pulled_nothing_is_begun_again_for_it(
    stubborn: Container,
    lena: User,
    ada: User,
    worker: Worker,
    clock: Clock,
    instead: Any,
    every_step: None,
    settings: Any,
) -> None:
    begun: list[bool] = []

    def steps(job: work.Job) -> work.Steps:
        begun.append(job.forced)
        for _ in range(3):
            yield Progress()
        yield from job.node.stop(job.name, force=job.forced)

    instead("stop", steps)
    operations.request(stubborn.pk, "stop", by=lena)
    clock.advance(by=settings.STOP_PATIENCE)
    container = ask_and_wait(stubborn, "force_off", worker, ada)
    assert (container.status, begun) == (Status.STOPPED, [True])


def test_force_off_of_a_restart_goes_on_to_boot(
    stubborn: Container,
    lena: User,
    ada: User,
    node: Node,
    worker: Worker,
    clock: Clock,
    meanwhile: Any,
    settings: Any,
) -> None:
    def force() -> None:
        clock.advance(by=settings.STOP_PATIENCE)
        operations.request(stubborn.pk, "force_off", by=ada)

    meanwhile("restart", force)
    container = ask_and_wait(stubborn, "restart", worker, lena)
    assert container.status == Status.RUNNING
    assert effects_on(node, of=container)[-2:] == ["forced", "started"]


def test_force_off_while_nobody_is_at_work_is_there_when_somebody_is(
    stubborn: Container,
    lena: User,
    ada: User,
    node: Node,
    worker: Worker,
    clock: Clock,
    settings: Any,
) -> None:
    operations.request(stubborn.pk, "stop", by=lena)
    worker.lose_everything()
    clock.advance(by=settings.STOP_PATIENCE)
    operations.request(stubborn.pk, "force_off", by=ada)
    worker.carry_out_all()
    assert fresh(stubborn).status == Status.STOPPED
    assert effects_on(node, of=stubborn)[-1] == "forced"


def test_force_off_does_not_wait_for_the_next_try(
    stubborn: Container, ada: User, worker: Worker, clock: Clock, instead: Any, settings: Any
) -> None:
    def busy(job: work.Job) -> work.Steps:
        if not job.forced:
            raise Conflict("busy")
        yield from job.node.stop(job.name, force=True)

    instead("stop", busy)
    operations.request(stubborn.pk, "stop", by=ada)
    clock.advance(by=settings.STOP_PATIENCE)
    worker.carry_out_all()
    assert last_operation(stubborn).not_before > clock.now()
    container = ask_and_wait(stubborn, "force_off", worker, ada)
    assert container.status == Status.STOPPED


@pytest.mark.parametrize(
    ("action", "ends"), [("stop", "stopped"), ("restart", "running"), ("migrate", "running")]
)
def test_the_plug_is_pulled_by_itself_where_stopping_takes_for_ever(
    action: str,
    ends: str,
    stubborn: Container,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    clock: Clock,
    meanwhile: Any,
    settings: Any,
    time_passes: None,
) -> None:
    meanwhile(action, lambda: clock.advance(by=settings.STOP_LIMIT + timedelta(seconds=1)))
    container = ask_and_wait(stubborn, action, worker, ada)
    assert container.status == ends
    assert "forced" in effects_on(node, of=container)
    assert container.changes.latest("pk").because.endswith("forced off")


def test_what_was_not_known_to_run_is_stopped_for_its_move_as_what_was(
    stubborn: Container,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    settings: Any,
    every_step: None,
) -> None:
    """Somebody has started it on its node just before."""
    settings.STOP_LIMIT = timedelta(seconds=0.1)
    Container.objects.filter(pk=stubborn.pk).update(status=Status.STOPPED)
    container = ask_and_wait(stubborn, "migrate", worker, ada)
    assert (container.status, container.node) == (Status.STOPPED, other_node)
    assert "forced" in effects_on(node, of=container)


@pytest.mark.parametrize("action", ["stop", "restart", "migrate"])
def test_what_waited_long_for_its_turn_is_asked_to_shut_down_all_the_same(
    action: str,
    lena: User,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    clock: Clock,
    settings: Any,
    every_step: None,
) -> None:
    container = ContainerFactory.create(customer=lena, node=node, status=Status.RUNNING)
    set_pace(node, 0.1)
    operations.request(container.pk, action, by=ada)
    clock.advance(by=settings.STOP_LIMIT + timedelta(seconds=1))
    worker.carry_out_all()
    assert "forced" not in effects_on(node, of=container)
    assert not last_operation(container).forced


def test_work_taken_up_again_after_an_outage_gives_the_system_inside_all_its_time(
    lena: User,
    node: Node,
    worker: Worker,
    watcher: Watcher,
    clock: Clock,
    meanwhile: Any,
    settings: Any,
) -> None:
    """The node goes off-line as it is asked to stop; back again, the work waits for its turn."""
    container = ContainerFactory.create(customer=lena, node=node, status=Status.RUNNING)
    set_pace(node, 0.1)

    def outage() -> None:
        broken(node, unplugged=True)
        look(watcher, settings.MISSES_UNTIL_OFFLINE)
        simulated(node).power(container.instance_name, Power.RUNNING)

    meanwhile("stop", outage)
    ask_and_wait(container, "stop", worker, lena)
    broken(node)
    clock.advance(by=settings.LEASE + timedelta(seconds=1))
    look(watcher)
    clock.advance(by=settings.STOP_LIMIT + timedelta(seconds=1))
    worker.carry_out_all()
    assert fresh(container).status == Status.STOPPED
    assert effects_on(node, of=container)[-1] == "stopped"
    assert not last_operation(container).forced


def test_the_plug_is_not_said_to_be_pulled_while_one_that_has_stopped_is_copied(
    lena: User,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    clock: Clock,
    instead: Any,
    settings: Any,
    every_step: None,
    time_passes: None,
) -> None:
    container = ContainerFactory.create(customer=lena, node=node, status=Status.RUNNING)
    set_pace(node, 0.1)
    real = work.STEPS["migrate"]

    def slow_copy(job: work.Job) -> work.Steps:
        for step in real(job):
            if isinstance(step, Progress) and step.step.startswith("Copying"):
                clock.advance(by=settings.STOP_LIMIT / 2)
            yield step

    instead("migrate", slow_copy)
    container = ask_and_wait(container, "migrate", worker, ada)
    assert (container.status, container.node) == (Status.RUNNING, other_node)
    assert not last_operation(container).forced
    assert "forced" not in container.changes.latest("pk").because


def test_a_stop_that_is_taken_up_again_and_again_has_an_end(
    stubborn: Container,
    lena: User,
    node: Node,
    worker: Worker,
    clock: Clock,
    instead: Any,
    settings: Any,
    every_step: None,
    time_passes: None,
) -> None:
    """Each worker dies in the middle of it."""
    real = work.STEPS["stop"]
    tries: list[bool] = []

    def dying(job: work.Job) -> work.Steps:
        tries.append(job.forced)
        signs = Trouble(4, killed_here)
        for step in real(job):
            clock.advance(by=settings.STOP_LIMIT / 10)
            yield step
            signs.comes()

    def killed_here() -> None:
        raise Killed

    instead("stop", dying)
    operations.request(stubborn.pk, "stop", by=lena)
    for _ in range(9):
        with killed():
            worker.carry_out_all()
        clock.advance(by=settings.LEASE + timedelta(seconds=1))
        operations.sweep()
    assert fresh(stubborn).status == Status.STOPPED
    assert effects_on(node, of=stubborn)[-1] == "forced"
    assert len(tries) > 2


@pytest.mark.parametrize("action", ["stop", "restart", "migrate"])
def test_while_a_container_gives_no_answer_its_system_has_not_been_asked(
    action: str,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    every_step: None,
    time_passes: None,
) -> None:
    container = ContainerFactory.create(status=Status.RUNNING, node=node)
    set_pace(node, 0.1)
    answers_again = clock.now() + settings.STOP_LIMIT + timedelta(minutes=1)

    def hanging(real: Any) -> Any:
        def call(*arguments: Any, **more: Any) -> Any:
            if clock.now() < answers_again:
                raise Unreachable("no answer in time")
            return real(*arguments, **more)

        return call

    for name in ("instance", "stop"):
        monkeypatch.setattr(SimulatedDriver, name, hanging(getattr(SimulatedDriver, name)))
    operations.request(container.pk, action, by=ada)
    for _ in range(13):
        worker.carry_out_all()
        clock.advance(31)
        operations.sweep()
    assert last_operation(container).outcome == "done"
    assert not last_operation(container).forced
    assert "forced" not in effects_on(node, of=container)


def test_a_clock_that_is_set_gives_the_system_no_less_time(
    ada: User, node: Node, worker: Worker, clock: Clock, meanwhile: Any, settings: Any
) -> None:
    container = ContainerFactory.create(status=Status.RUNNING, node=node)
    set_pace(node, 0.1)
    meanwhile("stop", lambda: clock.advance(by=settings.STOP_LIMIT * 2))
    container = ask_and_wait(container, "stop", worker, ada)
    assert container.status == Status.STOPPED
    assert not last_operation(container).forced


def test_the_second_try_of_a_move_asks_its_system_to_shut_down_as_the_first_did(
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    every_step: None,
    time_passes: None,
) -> None:
    """It was started on its node as soon as the first had broken off."""
    container = ContainerFactory.create(status=Status.RUNNING, node=node)
    set_pace(node, 0.1)
    real = SimulatedDriver.move

    def breaks_off(driver: SimulatedDriver, name: str, target: Any) -> Any:
        monkeypatch.setattr(SimulatedDriver, "move", real)
        yield Progress(1, "Copying")
        clock.advance(by=settings.STOP_LIMIT * 2)
        yield Progress(2, "Copying")
        simulated(node).power(name, Power.RUNNING)
        raise Conflict("the copy is not the same")

    monkeypatch.setattr(SimulatedDriver, "move", breaks_off)
    container = ask_and_wait(container, "migrate", worker, ada, target=other_node.pk)
    clock.advance(31)
    operations.sweep()
    worker.carry_out_all()
    assert fresh(container).node == other_node
    assert not last_operation(container).forced
    assert "forced" not in effects_on(node, of=container)
