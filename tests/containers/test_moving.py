"""A container moves: it ends on one node, as what it was, or stays and says why."""

from __future__ import annotations

import errno
import os
from datetime import timedelta
from typing import Any, NoReturn

import pytest

from containers import operations, reports
from containers.connect import simulated
from containers.drivers import Conflict, Power, Refused
from containers.drivers.simulated import SimulatedDriver
from containers.models import Container, Node, Operation
from containers.operations import concluding, work
from containers.placement import NoNodeFits
from containers.statuses import Status
from panel.models import User
from tests.cast import (
    ContainerFactory,
    effects_on,
    power_of,
    set_pace,
)
from tests.conftest import Clock, Worker
from tests.containers.acts import (
    Killed,
    ask_and_wait,
    broken,
    fresh,
    history,
    last_operation,
    settle,
)

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("status", "did"),
    [
        ("stopped", ["moved_in", "moved_out"]),
        ("running", ["stopped", "moved_in", "moved_out", "started"]),
    ],
)
def test_a_container_moves_and_is_what_it_was(
    status: str,
    did: list[str],
    lena: User,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
) -> None:
    container = ContainerFactory.create(customer=lena, status=status, node=node)
    before = power_of(container)
    effects = effects_on(node, other_node, of=container)
    operation = operations.request(container.pk, "migrate", by=ada)
    assert operation is not None
    assert operation.target == other_node
    assert fresh(container).status == Status.MIGRATING
    worker.carry_out_all()

    container = fresh(container)
    assert (container.status, container.node, container.problem) == (status, other_node, "")
    assert power_of(container) == before
    assert simulated(node).instance(container.instance_name) is None
    assert effects_on(node, other_node, of=container)[len(effects) :] == did
    assert history(container) == [(status, "migrating"), ("migrating", status)]
    seen = simulated(other_node).instance(container.instance_name)
    assert seen is not None
    assert container.address == seen.address


def test_the_files_move_along(
    container: Container, ada: User, node: Node, other_node: Node, worker: Worker
) -> None:
    from io import BytesIO

    name = container.instance_name
    simulated(node).write_file(name, "/root/kept", BytesIO(b"dear"))
    ask_and_wait(container, "migrate", worker, ada)
    assert b"".join(simulated(other_node).read_file(name, "/root/kept")) == b"dear"


@pytest.mark.parametrize("status", ["stopped", "running"])
@pytest.mark.parametrize("fault", ["failing", "full"])
def test_a_move_that_the_target_refuses_ends_on_the_old_node_as_it_was(
    fault: str,
    status: str,
    lena: User,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
) -> None:
    container = ContainerFactory.create(customer=lena, status=status, node=node)
    before = power_of(container)
    broken(other_node, **{fault: True})
    container = ask_and_wait(container, "migrate", worker, ada)
    assert (container.status, container.node) == (status, node)
    assert power_of(container) == before
    assert container.problem
    assert simulated(other_node).instance(container.instance_name) is None
    assert last_operation(container).outcome == "failed"


def test_a_container_that_moved_but_does_not_boot_there_is_stopped_there_and_says_why(
    lena: User, ada: User, node: Node, other_node: Node, worker: Worker, instead: Any
) -> None:
    container = ContainerFactory.create(customer=lena, status=Status.RUNNING, node=node)

    def steps(job: work.Job) -> work.Steps:
        yield from job.node.stop(job.name)
        assert job.target is not None
        yield from job.node.move(job.name, job.target)
        raise Refused("no boot here")

    instead("migrate", steps)
    container = ask_and_wait(container, "migrate", worker, ada)
    assert (container.status, container.node) == (Status.STOPPED, other_node)
    assert container.problem == Refused.sentence


def test_a_container_that_moved_is_booted_there_even_if_that_takes_a_second_try(
    lena: User,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    clock: Clock,
    instead: Any,
) -> None:
    container = ContainerFactory.create(customer=lena, status=Status.RUNNING, node=node)
    real = work.STEPS["migrate"]

    def steps(job: work.Job) -> work.Steps:
        instead("migrate", real)
        yield from job.node.stop(job.name)
        assert job.target is not None
        yield from job.node.move(job.name, job.target)
        raise Conflict("busy, ask again")

    instead("migrate", steps)
    container = settle(ask_and_wait(container, "migrate", worker, ada), worker, clock)
    assert (container.status, container.node) == (Status.RUNNING, other_node)
    assert container.problem == ""


def test_a_container_that_came_to_a_node_that_is_lost_waits_for_it(
    container: Container, ada: User, other_node: Node, worker: Worker, clock: Clock, instead: Any
) -> None:
    real = work.STEPS["migrate"]

    def steps(job: work.Job) -> work.Steps:
        instead("migrate", real)
        yield from real(job)
        reports.lose(other_node, "no answer in time")

    instead("migrate", steps)
    container = ask_and_wait(container, "migrate", worker, ada)
    assert container.status == Status.MIGRATING, "nobody would say Off-line of it there"
    assert last_operation(container).is_open

    Node.objects.filter(pk=other_node.pk).update(online=True)
    container = settle(container, worker, clock)
    assert (container.status, container.node) == (Status.STOPPED, other_node)
    assert last_operation(container).outcome == "done"


def test_a_move_that_is_taken_up_again_on_its_way_is_joined(
    container: Container,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    instead: Any,
    clock: Clock,
    settings: Any,
) -> None:
    """Its worker was killed, and the nodes go on with it meanwhile."""
    set_pace(node, 0.1)
    real = work.STEPS["migrate"]

    def steps(job: work.Job) -> work.Steps:
        instead("migrate", real)
        assert job.target is not None
        for _ in job.node.move(job.name, job.target):
            raise Killed
        yield from ()

    instead("migrate", steps)
    with pytest.raises(Killed):
        ask_and_wait(container, "migrate", worker, ada)
    clock.advance(by=settings.LEASE + timedelta(seconds=1))
    operations.sweep()
    worker.carry_out_all()
    assert (fresh(container).status, fresh(container).node) == (Status.STOPPED, other_node)
    assert last_operation(container).attempts == 2
    did = effects_on(node, other_node, of=container)
    assert did == ["created", "moved_in", "moved_out"]


def test_a_move_whose_target_stays_away_is_given_up_at_its_deadline(
    lena: User, ada: User, node: Node, other_node: Node, worker: Worker, clock: Clock
) -> None:
    container = ContainerFactory.create(customer=lena, status=Status.RUNNING, node=node)
    broken(other_node, unplugged=True)
    container = ask_and_wait(container, "migrate", worker, ada)
    assert container.status == Status.MIGRATING
    clock.advance(by=Container.deadline_of("migrate"))
    operations.sweep()
    worker.carry_out_all()
    container = fresh(container)
    assert (container.status, container.node) == (Status.RUNNING, node)
    assert container.problem == concluding.Overdue.sentence
    assert power_of(container) is Power.RUNNING


def test_a_move_that_fails_half_way_leaves_nothing_on_the_target(
    lena: User, ada: User, node: Node, other_node: Node, worker: Worker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    container = ContainerFactory.create(customer=lena, status=Status.RUNNING, node=node)

    def full(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "symlink", full)
    container = ask_and_wait(container, "migrate", worker, ada)
    assert (container.status, container.node) == (Status.RUNNING, node)
    assert last_operation(container).outcome == Operation.Outcome.FAILED
    assert not simulated(other_node).unfinished()


def test_what_cannot_be_cleared_away_on_the_target_does_not_keep_it_from_running_again(
    lena: User, ada: User, node: Node, other_node: Node, worker: Worker, instead: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def breaks_off(job: work.Job) -> work.Steps:
        yield from job.node.stop(job.name)
        raise Refused("the disk is full")

    def refuses(*_: object, **__: object) -> NoReturn:
        raise Refused("in use")

    container = ContainerFactory.create(customer=lena, status=Status.RUNNING, node=node)
    instead("migrate", breaks_off)
    monkeypatch.setattr(SimulatedDriver, "give_up_move", refuses)
    container = ask_and_wait(container, "migrate", worker, ada)
    assert (container.status, container.node) == (Status.RUNNING, node)
    assert power_of(container) is Power.RUNNING


def too_busy(*_: object, **__: object) -> NoReturn:
    raise Conflict('Instance is busy running a "restart" operation')


def found_stopped(*_: object, **__: object) -> work.Steps:
    """It was, for a moment."""
    yield from ()


@pytest.mark.parametrize("stop", [too_busy, found_stopped])
def test_a_move_waits_where_somebody_on_the_node_restarts_the_container_just_then(
    stop: Any, lena: User, ada: User, node: Node, other_node: Node, worker: Worker, clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    container = ContainerFactory.create(customer=lena, status=Status.RUNNING, node=node)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(SimulatedDriver, "stop", stop)
        container = ask_and_wait(container, "migrate", worker, ada)
    assert (container.status, container.problem) == (Status.MIGRATING, Conflict.sentence)
    container = settle(container, worker, clock)
    assert (container.status, container.node) == (Status.RUNNING, other_node)
    assert container.problem == ""


def test_an_administrator_may_choose_the_target(
    container: Container, ada: User, other_node: Node
) -> None:
    from tests.cast import NodeFactory

    chosen = NodeFactory.create(memory_mb=2048)
    operation = operations.request(container.pk, "migrate", by=ada, target=chosen.pk)
    assert operation is not None
    assert operation.target == chosen


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"online": False}, "node-b cannot take {}: it has no room for it, is off-line, "),
        ({"in_service": False}, "node-b cannot take {}: "),
        ({"memory_mb": 100}, "node-b cannot take {}: "),
        ({"kind": Node.Kind.INCUS}, "node-b cannot take {}: "),
        ({}, "{} is on node-a already."),
        ("deleted", "The node that {} was to go to is not there any more."),
    ],
)
def test_a_target_that_cannot_take_it_is_refused_in_true_words_and_nothing_changes(
    changed: Any, said: str, container: Container, ada: User, node: Node, other_node: Node
) -> None:
    target = (other_node if changed else node).pk
    if changed == "deleted":
        other_node.delete()
    elif changed:
        Node.objects.filter(pk=other_node.pk).update(**changed)
    with pytest.raises(NoNodeFits) as refused:
        operations.request(container.pk, "migrate", by=ada, target=target)
    assert refused.value.sentence.startswith(said.format(container.name))
    container = fresh(container)
    assert (container.status, container.problem) == (Status.STOPPED, "")
    assert not Operation.objects.exists()


def test_a_target_that_cannot_take_it_is_found_out_before_anything_is_stopped(
    lena: User, ada: User, node: Node, other_node: Node, worker: Worker
) -> None:
    container = ContainerFactory.create(customer=lena, node=node, status=Status.RUNNING)
    before = effects_on(node, of=container)
    broken(other_node, full=True)
    operations.request(container.pk, "migrate", by=ada, target=other_node.pk)
    worker.carry_out_all()
    assert fresh(container).status == Status.RUNNING
    assert "no room" in fresh(container).problem
    assert effects_on(node, of=container) == before


def test_a_node_of_another_kind_is_no_place_to_move_to(
    lena: User, ada: User, node: Node, worker: Worker
) -> None:
    Node.objects.create(name="real", kind=Node.Kind.INCUS, memory_mb=99999, disk_gb=9999)
    container = ContainerFactory.create(customer=lena, node=node)
    with pytest.raises(NoNodeFits):
        operations.request(container.pk, "migrate", by=ada)
