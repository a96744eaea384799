"""What takes longer than it should is given up, and what it left is put right in time or left."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from containers import operations
from containers.connect import simulated
from containers.drivers import Conflict, Power, Progress, Refused
from containers.models import Container, Node
from containers.operations import concluding, work
from containers.statuses import Status
from panel.models import User
from tests.cast import (
    ContainerFactory,
    power_of,
    set_pace,
)
from tests.conftest import Clock, Worker
from tests.containers.acts import Killed, ask_and_wait, broken, fresh, last_operation
from tests.containers.trouble import killed

pytestmark = pytest.mark.django_db


def test_what_takes_longer_than_its_deadline_is_given_up_and_the_node_is_asked(
    container: Container, lena: User, worker: Worker, instead: Any, clock: Clock, every_step: None
) -> None:
    went_on: list[str] = []

    def steps(job: work.Job) -> work.Steps:
        yield Progress(1)
        clock.advance(by=Container.deadline_of("start"))
        yield Progress(2)
        went_on.append(job.name)

    instead("start", steps)
    container = ask_and_wait(container, "start", worker, lena)
    assert not went_on
    assert container.status == Status.STOPPED
    assert container.problem == concluding.Overdue.sentence


@pytest.mark.parametrize("action", ["create", "migrate"])
def test_a_customer_is_not_told_to_try_again_what_only_an_administrator_can(
    action: str,
    lena: User,
    ada: User,
    as_lena: Client,
    node: Node,
    other_node: Node,
    worker: Worker,
    clock: Clock,
    instead: Any,
    every_step: None,
) -> None:
    def steps(job: work.Job) -> work.Steps:
        clock.advance(by=Container.deadline_of(action))
        yield Progress(1)

    instead(action, steps)
    where = None if action == "create" else node
    status = Container.sources_of(action)[0]
    container = ContainerFactory.create(customer=lena, node=where, status=status)
    container = ask_and_wait(container, action, worker, ada)
    assert container.problem == concluding.Overdue.sentence
    page = as_lena.get(container.get_absolute_url()).content.decode()
    assert container.problem in page
    assert "Try again" not in page


def test_what_was_done_just_before_the_deadline_counts(
    container: Container, lena: User, worker: Worker, instead: Any, clock: Clock, every_step: None
) -> None:
    def steps(job: work.Job) -> work.Steps:
        yield from job.node.start(job.name)
        clock.advance(by=Container.deadline_of("start"))
        yield Progress(99)

    instead("start", steps)
    container = ask_and_wait(container, "start", worker, lena)
    assert (container.status, container.problem) == (Status.RUNNING, "")


def test_what_cannot_be_put_right_in_time_is_left_behind(
    ada: User, node: Node, worker: Worker, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    signs: list[str] = []

    def far_too_long(job: work.Job) -> work.Steps:
        for _ in range(100):
            clock.advance(by=concluding.UNDOING / 5)
            signs.append(job.kind)
            yield Progress()

    monkeypatch.setattr(work, "undo", far_too_long)
    broken(node, failing=True)
    container = ContainerFactory.create(status=Status.ORDERED)
    container = ask_and_wait(container, "create", worker, ada)
    assert (container.status, container.problem) == (Status.ORDERED, Refused.sentence)
    assert len(signs) < 10


@pytest.mark.parametrize(("action", "status"), [("create", "ordered"), ("migrate", "running")])
def test_what_the_node_is_too_busy_to_put_right_is_left_behind_at_the_deadline(
    action: str,
    status: str,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    clock: Clock,
    instead: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(job: work.Job) -> work.Steps:
        yield from ()
        raise Refused("no")

    def busy(job: work.Job) -> work.Steps:
        yield from ()
        raise Conflict("busy")

    instead(action, refused)
    monkeypatch.setattr(work, "undo", busy)
    on = {} if status == "ordered" else {"node": node}
    container = ContainerFactory.create(status=status, **on)
    container = ask_and_wait(container, action, worker, ada)
    assert last_operation(container).is_open, "there is time left"
    clock.advance(by=Container.deadline_of(action))
    operations.sweep()
    worker.carry_out_all()
    assert (fresh(container).status, fresh(container).problem) == (status, Refused.sentence)


def test_a_move_that_is_given_up_in_the_middle_of_its_copy_runs_again_where_it_was(
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    clock: Clock,
    instead: Any,
    every_step: None,
) -> None:
    """Its node is copying and too busy to start it, until it is told to give up."""
    container = ContainerFactory.create(status=Status.RUNNING, node=node)

    def steps(job: work.Job) -> work.Steps:
        yield from job.node.stop(job.name)
        set_pace(node, 1000)
        assert job.target is not None
        for step in job.node.move(job.name, job.target):
            clock.advance(by=Container.deadline_of("migrate"))
            set_pace(node, 0)
            yield step

    instead("migrate", steps)
    container = ask_and_wait(container, "migrate", worker, ada)
    assert (container.status, container.node) == (Status.RUNNING, node)
    assert container.problem == concluding.Overdue.sentence
    assert power_of(container) is Power.RUNNING
    assert simulated(other_node).instance(container.instance_name) is None


def test_the_time_that_work_may_take_runs_from_its_beginning(
    container: Container, lena: User, worker: Worker, clock: Clock, instead: Any
) -> None:
    def steps(job: work.Job) -> work.Steps:
        yield from ()
        raise Conflict("busy")

    instead("start", steps)
    operations.request(container.pk, "start", by=lena)
    clock.advance(by=Container.deadline_of("start") * 2)
    worker.carry_out_all()
    assert fresh(container).status == Status.BOOTING
    clock.advance(by=Container.deadline_of("start") * 2)
    operations.sweep()
    worker.carry_out_all()
    assert fresh(container).status == Status.STOPPED
    assert fresh(container).problem == concluding.Overdue.sentence


@pytest.mark.parametrize(
    ("gets_on", "hours", "moves"), [(True, 5, True), (False, 5, False), (True, 60, False)]
)
def test_a_move_that_is_seen_copying_is_not_given_up(
    gets_on: bool,
    hours: int,
    moves: bool,
    container: Container,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    clock: Clock,
    instead: Any,
    every_step: None,
) -> None:
    """But for one that hangs, or begins again and again for days."""

    def steps(job: work.Job) -> work.Steps:
        for hour in range(hours):
            yield Progress(None, "Copying", copied=f"{hour if gets_on else 1}GB")
            clock.advance(3600)
        assert job.target is not None
        yield from job.node.move(job.name, job.target)

    instead("migrate", steps)
    container = ask_and_wait(container, "migrate", worker, ada)
    assert container.node == (other_node if moves else node)
    assert container.problem == ("" if moves else concluding.Overdue.sentence)


def test_a_copy_that_another_worker_goes_on_with_has_its_time_as_well(
    container: Container,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    clock: Clock,
    instead: Any,
    every_step: None,
) -> None:
    def dies(job: work.Job) -> work.Steps:
        for hour in range(4):
            yield Progress(None, "Copying", copied=f"{hour}GB")
            clock.advance(3600)
        raise Killed

    real = work.STEPS["migrate"]
    instead("migrate", dies)
    with killed():
        ask_and_wait(container, "migrate", worker, ada)
    assert last_operation(container).step == "Copying, 3GB so far"
    instead("migrate", real)
    operations.sweep()
    worker.carry_out_all()
    assert fresh(container).node == other_node
