"""What becomes of a container whose node answers, and cannot tell how it is."""

from __future__ import annotations

from typing import Any

import pytest

from containers import operations, reports
from containers.connect import spec_of
from containers.drivers import Power, Refused, Unreachable
from containers.drivers.simulated import SimulatedDriver
from containers.models import Container, Node
from containers.observe import Watcher
from containers.operations import concluding, work
from containers.statuses import Status
from panel.models import User
from tests.cast import ContainerFactory, effects_on
from tests.conftest import Clock, Worker
from tests.containers.acts import ask_and_wait, broken, fresh, history, last_operation, look
from tests.tampering import simulated

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("power", [Power.BUSY, Power.ERROR])
@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize(
    ("action", "was"),
    [
        ("start", "stopped"),
        ("stop", "running"),
        ("stop", "repairing"),
        ("restart", "running"),
        ("migrate", "stopped"),
        ("migrate", "running"),
        ("destroy", "stopped"),
        ("destroy", "repairing"),
    ],
)
def test_what_the_node_cannot_tell_by_the_deadline_ends_as_it_was_and_says_so(
    action: str,
    was: str,
    refused: bool,
    power: Power,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    watcher: Watcher,
    clock: Clock,
    instead: Any,
    cannot_tell: Any,
) -> None:
    def steps(job: work.Job) -> work.Steps:
        yield from ()
        if refused:
            raise Refused("forkstart")

    instead(action, steps)
    container = ContainerFactory.create(status=was, node=node)
    cannot_tell(power)
    container = ask_and_wait(container, action, worker, ada)
    clock.advance(by=Container.deadline_of(action) / 2)
    operations.sweep()
    worker.carry_out_all()
    assert last_operation(container).is_open, "there is time left"

    clock.advance(by=Container.deadline_of(action))
    operations.sweep()
    worker.carry_out_all()
    container = fresh(container)
    assert (container.status, container.node) == (was, node)
    assert container.problem == concluding.PowerUnknown.sentence
    operation = last_operation(container)
    assert (operation.outcome, operation.error) == ("failed", concluding.PowerUnknown.sentence)
    assert operation.error_detail == ("forkstart" if refused else f"the node reports {power}")

    clock.advance(5)
    look(watcher)
    assert fresh(container).status == was, "it still cannot tell"
    cannot_tell(None)
    simulated(node).power(container.instance_name, Power.RUNNING)
    clock.advance(5)
    look(watcher)
    assert (fresh(container).status, fresh(container).is_transient) == ("running", False)


@pytest.mark.parametrize("power", [Power.BUSY, Power.ERROR])
def test_what_is_where_it_should_be_is_there_though_the_node_cannot_tell_what_it_does(
    power: Power,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    clock: Clock,
    cannot_tell: Any,
) -> None:
    created = ContainerFactory.create(status=Status.ORDERED)
    moved = ContainerFactory.create(status=Status.RUNNING, node=node)
    cannot_tell(power)
    ask_and_wait(created, "create", worker, ada)
    ask_and_wait(moved, "migrate", worker, ada)
    clock.advance(by=Container.deadline_of("migrate"))
    operations.sweep()
    worker.carry_out_all()
    assert (fresh(created).status, fresh(created).node) == (Status.STOPPED, node)
    assert (fresh(moved).status, fresh(moved).node) == (Status.RUNNING, other_node)
    for container in (created, moved):
        assert last_operation(container).outcome == "done"
        assert fresh(container).problem == concluding.PowerUnknown.sentence


@pytest.mark.parametrize("power", [Power.BUSY, Power.ERROR])
def test_after_an_outage_it_is_not_said_that_the_connection_is_broken_but_what_is_true(
    power: Power, ada: User, node: Node, watcher: Watcher, cannot_tell: Any
) -> None:
    container = ContainerFactory.create(node=node, status=Status.RUNNING)

    def off_line() -> None:
        broken(node, unplugged=True)
        look(watcher, 3)
        broken(node)

    off_line()
    assert "connection to node node-a is broken" in fresh(container).problem
    cannot_tell(power)
    look(watcher)
    waits = fresh(container)
    assert (waits.status, waits.problem) == (Status.OFFLINE, reports.CANNOT_TELL)
    look(watcher)
    assert fresh(container).revision == waits.revision, "nothing new"

    off_line()
    assert "connection to node node-a is broken" in fresh(container).problem
    assert fresh(container).revision > waits.revision
    look(watcher)
    cannot_tell(None)
    look(watcher)
    assert (fresh(container).status, fresh(container).problem) == (Status.RUNNING, "")
    assert history(container) == [("running", "offline"), ("offline", "running")]


def test_one_that_was_missing_is_there_again_though_its_node_cannot_tell_how_it_is(
    container: Container, node: Node, watcher: Watcher, cannot_tell: Any
) -> None:
    simulated(node).lose(container.instance_name)
    look(watcher)
    assert fresh(container).is_gone()
    simulated(node).seed(spec_of(container))
    cannot_tell(Power.ERROR)
    look(watcher)
    waits = fresh(container)
    assert (waits.status, waits.missing) == (Status.OFFLINE, False)
    assert waits.problem == reports.CANNOT_TELL


def _hangs(*_: Any, **__: Any) -> Any:
    raise Unreachable("no answer in time")


def _is_odd(*_: Any, **__: Any) -> Any:
    raise KeyError("status")


@pytest.mark.parametrize("says", [_hangs, _is_odd])
@pytest.mark.parametrize(
    ("action", "was", "power"),
    [
        ("create", "ordered", None),
        ("start", "stopped", Power.STOPPED),
        ("start", "stopped", Power.ERROR),
        ("stop", "running", Power.RUNNING),
        ("stop", "running", Power.ERROR),
        ("restart", "running", Power.ERROR),
        ("migrate", "stopped", Power.STOPPED),
        ("migrate", "running", Power.ERROR),
        ("destroy", "stopped", Power.STOPPED),
        ("destroy", "repairing", Power.ERROR),
    ],
)
def test_one_that_gives_no_answer_itself_has_that_of_the_list_at_the_deadline(
    action: str,
    was: str,
    power: Power | None,
    says: Any,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its monitor hangs, and its node answers all the same."""
    container = ContainerFactory.create(status=was, **({"node": node} if power else {}))
    if power:
        simulated(node).power(container.instance_name, power)
    before = effects_on(node, of=container)
    one = ("instance", "describe", "start", "stop", "create", "delete", "check_move", "move")
    for call in one:
        monkeypatch.setattr(SimulatedDriver, call, says)
    ask_and_wait(container, action, worker, ada)
    clock.advance(by=Container.deadline_of(action) / 2)
    operations.sweep()
    worker.carry_out_all()
    assert last_operation(container).is_open, "there is time left"

    clock.advance(by=Container.deadline_of(action))
    with monkeypatch.context() as silent:
        silent.setattr(SimulatedDriver, "instances", _hangs)
        operations.sweep()
        worker.carry_out_all()
        assert last_operation(container).is_open, "it is the node that gives no answer"
    clock.advance(31)
    operations.sweep()
    worker.carry_out_all()
    operation, container = last_operation(container), fresh(container)
    assert (operation.outcome, container.status) == ("failed", was)
    told = concluding.PowerUnknown if power is Power.ERROR else concluding.Overdue
    assert container.problem == told.sentence
    assert effects_on(node, of=container) == before


def test_what_has_come_to_another_node_is_there_though_it_gives_no_answer(
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    container = ContainerFactory.create(status=Status.STOPPED, node=node)
    name = container.instance_name
    operations.request(container.pk, "migrate", by=ada, target=other_node.pk)
    list(simulated(node).move(name, simulated(other_node)))
    monkeypatch.setattr(SimulatedDriver, "instance", _hangs)
    worker.carry_out_all()
    clock.advance(by=Container.deadline_of("migrate"))
    operations.sweep()
    worker.carry_out_all()
    assert last_operation(container).outcome == "done"
    assert (fresh(container).status, fresh(container).node) == (Status.STOPPED, other_node)


def test_what_somebody_else_has_made_there_meanwhile_is_not_the_container(
    ada: User, node: Node, worker: Worker, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = ContainerFactory.create(status=Status.STOPPED, node=node)
    operations.request(container.pk, "start", by=ada)
    simulated(node).lose(container.instance_name)
    simulated(node).seed(spec_of(container), Power.RUNNING)
    simulated(node).disown(container.instance_name)
    monkeypatch.setattr(SimulatedDriver, "instance", _hangs)
    worker.carry_out_all()
    clock.advance(by=Container.deadline_of("start"))
    operations.sweep()
    worker.carry_out_all()
    assert last_operation(container).outcome == "failed"
    assert fresh(container).problem == concluding.PowerUnknown.sentence
