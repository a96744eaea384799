"""Work is held by one worker at a time, and is taken up again when that one dies."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from containers import operations
from containers.drivers import Conflict, Progress
from containers.models import Container, Node, Operation
from containers.operations import carrying, work
from containers.operations.claiming import claim, renew, renew_if_due
from containers.statuses import Status
from panel.models import User
from tests.cast import (
    ContainerFactory,
    effects_on,
)
from tests.conftest import Clock, Worker
from tests.containers.acts import Killed, ask_and_wait, fresh, history, last_operation

pytestmark = pytest.mark.django_db


def test_an_operation_is_taken_by_one_worker(
    container: Container, lena: User, worker: Worker, instead: Any
) -> None:
    began = []

    def steps(job: work.Job) -> work.Steps:
        began.append(job.name)
        operations.carry_out(last_operation(container).pk)
        yield from job.node.start(job.name)

    instead("start", steps)
    ask_and_wait(container, "start", worker, lena)
    assert len(began) == 1
    assert last_operation(container).attempts == 1


def test_the_time_that_work_may_take_runs_from_its_beginning_and_not_from_each_try(
    container: Container, lena: User, clock: Clock, settings: Any
) -> None:
    asked = operations.request(container.pk, "start", by=lena)
    assert asked is not None
    clock.advance(by=timedelta(hours=3))
    first = claim(asked.pk)
    assert first is not None
    assert first.started_at is not None
    assert first.started_at - asked.asked_at > timedelta(hours=3)
    assert first.deadline_at - first.started_at == Container.deadline_of("start")
    clock.advance(by=settings.LEASE * 2)
    second = claim(asked.pk)
    assert second is not None
    assert (second.started_at, second.deadline_at) == (first.started_at, first.deadline_at)
    assert second.attempts == 2
    renew(second)
    assert Operation.objects.get().deadline_at == second.deadline_at


def test_the_lease_is_renewed_while_the_node_shows_signs_of_life(
    container: Container,
    lena: User,
    worker: Worker,
    clock: Clock,
    instead: Any,
    every_step: None,
    settings: Any,
) -> None:
    began = []

    def steps(job: work.Job) -> work.Steps:
        began.append(job.name)
        for percent in range(0, 100, 10):
            clock.advance(by=settings.LEASE * 0.7)
            yield Progress(percent)
            operations.carry_out(last_operation(container).pk)
        yield from job.node.start(job.name)

    instead("start", steps)
    assert ask_and_wait(container, "start", worker, lena).status == Status.RUNNING
    assert len(began) == 1


def test_a_question_to_a_node_may_last_until_its_time_out_within_the_lease(
    container: Container, lena: User, clock: Clock, settings: Any,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:  # fmt: skip
    asked = operations.request(container.pk, "start", by=lena)
    assert asked is not None
    held = claim(asked.pk)
    assert held is not None
    with django_assert_num_queries(0):
        renew_if_due(held)
    for passed in (0.2, 0.5):
        clock.advance(by=settings.LEASE * passed)
        renew_if_due(held)
        assert held.held_until is not None
        assert held.held_until - timezone.now() > timedelta(seconds=settings.NODE_TIMEOUT)


def test_a_worker_that_lost_its_lease_writes_nothing_any_more(
    container: Container,
    lena: User,
    worker: Worker,
    clock: Clock,
    instead: Any,
    every_step: None,
    settings: Any,
) -> None:
    """It slept too long; another has taken the work over and is still at it."""
    operation = operations.request(container.pk, "start", by=lena)
    assert operation is not None
    others: list[Any] = []
    went_on: list[str] = []

    def steps(job: work.Job) -> work.Steps:
        clock.advance(by=settings.LEASE * 2)
        Operation.objects.update(held_by="another", held_until=clock.now() + settings.LEASE)
        others.append(Operation.objects.values().get())
        yield Progress(50, "from the one who slept")
        went_on.append(job.name)

    instead("start", steps)
    worker.carry_out_all()
    assert not went_on
    assert [Operation.objects.values().get()] == others
    assert fresh(container).status == Status.BOOTING


def test_a_worker_that_lost_its_lease_cannot_end_the_operation(
    container: Container, lena: User, worker: Worker, instead: Any
) -> None:
    def steps(job: work.Job) -> work.Steps:
        yield from job.node.start(job.name)
        Operation.objects.update(held_by="another")

    instead("start", steps)
    container = ask_and_wait(container, "start", worker, lena)
    assert container.status == Status.BOOTING
    assert last_operation(container).is_open
    assert history(container) == [("stopped", "booting")]


def test_a_worker_that_lost_its_lease_leaves_no_words_behind(
    container: Container, lena: User, worker: Worker, instead: Any
) -> None:
    def steps(job: work.Job) -> work.Steps:
        yield Progress()
        Operation.objects.update(held_by="another")
        raise Conflict("somebody else is at it")

    instead("start", steps)
    container = ask_and_wait(container, "start", worker, lena)
    assert container.problem == ""
    assert last_operation(container).held_by == "another"


def test_a_dead_workers_operation_is_taken_up_again(
    container: Container,
    lena: User,
    worker: Worker,
    clock: Clock,
    instead: Any,
    settings: Any,
) -> None:
    real = work.STEPS["start"]

    def steps(job: work.Job) -> work.Steps:
        yield Progress()
        raise Killed

    instead("start", steps)
    operation = operations.request(container.pk, "start", by=lena)
    assert operation is not None
    with pytest.raises(Killed):
        worker.carry_out_all()
    instead("start", real)
    operations.carry_out(operation.pk)
    assert fresh(container).status == Status.BOOTING, "the lease has not run out yet"

    clock.advance(by=settings.LEASE + timedelta(seconds=1))
    operations.sweep()
    worker.carry_out_all()
    assert fresh(container).status == Status.RUNNING
    assert last_operation(container).attempts == 2
    assert effects_on(container.node, of=container) == ["created", "started"]


def test_what_was_put_back_is_not_taken_before_its_time(
    container: Container, lena: User, worker: Worker, instead: Any, clock: Clock
) -> None:
    """A wake-up that came late finds it resting."""
    tries: list[str] = []

    def steps(job: work.Job) -> work.Steps:
        tries.append(job.name)
        yield from ()
        raise Conflict("busy")

    instead("start", steps)
    ask_and_wait(container, "start", worker, lena)
    operation = last_operation(container)
    assert operation.not_before > clock.now()
    operations.carry_out(operation.pk)
    assert len(tries) == 1
    clock.advance(3)
    operations.carry_out(operation.pk)
    assert len(tries) == 2


@pytest.mark.parametrize("killed_after", ["halting", "booting"])
def test_a_restart_that_is_taken_up_again_halts_and_boots_once(
    killed_after: str,
    lena: User,
    node: Node,
    worker: Worker,
    instead: Any,
    clock: Clock,
    settings: Any,
) -> None:
    container = ContainerFactory.create(customer=lena, status=Status.RUNNING, node=node)
    real = work.STEPS["restart"]

    def steps(job: work.Job) -> work.Steps:
        instead("restart", real)
        yield from job.node.stop(job.name)
        if killed_after == "halting":
            raise Killed
        yield work.Mark.HALF_WAY
        yield from job.node.start(job.name)
        raise Killed

    instead("restart", steps)
    with pytest.raises(Killed):
        ask_and_wait(container, "restart", worker, lena)
    clock.advance(by=settings.LEASE + timedelta(seconds=1))
    operations.sweep()
    worker.carry_out_all()
    container = fresh(container)
    assert (container.status, container.problem) == (Status.RUNNING, "")
    assert effects_on(node, of=container) == ["created", "stopped", "started"]
    assert history(container) == [
        ("running", "stopping"),
        ("stopping", "booting"),
        ("booting", "running"),
    ]


def test_a_node_with_its_hands_full_gets_no_more_work(
    lena: User, node: Node, worker: Worker, instead: Any, settings: Any
) -> None:
    settings.NODE_CONCURRENCY = 2
    containers = [ContainerFactory.create(customer=lena, node=node) for _ in range(5)]
    at_once, most = [0], [0]

    def steps(job: work.Job) -> work.Steps:
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        for open_one in list(Operation.objects.open()):
            operations.carry_out(open_one.pk)
        yield from job.node.start(job.name)
        at_once[0] -= 1

    instead("start", steps)
    for container in containers:
        operations.request(container.pk, "start", by=lena)
    worker.carry_out_all()
    assert most == [2]
    assert {fresh(container).status for container in containers} == {Status.RUNNING}


def test_a_node_that_is_off_line_or_has_its_hands_full_holds_up_no_other(
    container: Container, lena: User, other_node: Node, settings: Any
) -> None:
    settings.NODE_CONCURRENCY = 1
    elsewhere = ContainerFactory.create(customer=lena, node=other_node)
    ContainerFactory.create(customer=lena, status=Status.OFFLINE)
    for each in (container, elsewhere):
        asked = operations.request(each.pk, "start", by=lena)
        assert asked is not None
        assert claim(asked.pk) is not None


def test_nobody_takes_what_waits_for_a_node_that_is_off_line(
    container: Container, lena: User
) -> None:
    asked = operations.request(container.pk, "start", by=lena)
    assert asked is not None
    Container.objects.update(status=Status.OFFLINE)
    assert claim(asked.pk) is None
    assert last_operation(container).attempts == 0


def test_a_node_with_a_hand_free_goes_on_with_what_waits(
    lena: User, node: Node, worker: Worker, instead: Any, settings: Any
) -> None:
    """Their own wake-ups came while its hands were full."""
    settings.NODE_CONCURRENCY = 1
    containers = [ContainerFactory.create(customer=lena, node=node) for _ in range(4)]
    real = work.STEPS["start"]

    def steps(job: work.Job) -> work.Steps:
        instead("start", real)
        while worker.waiting:
            operations.carry_out(worker.waiting[0])
            worker.lose_one()
        yield from job.node.start(job.name)

    instead("start", steps)
    for container in containers:
        operations.request(container.pk, "start", by=lena)
    worker.carry_out_all()
    assert {fresh(container).status for container in containers} == {Status.RUNNING}


def test_of_two_that_end_together_each_wakes_another(
    lena: User, node: Node, worker: Worker
) -> None:
    ours, first, second = (ContainerFactory.create(customer=lena, node=node) for _ in range(3))
    for container in (ours, first, second):
        operations.request(container.pk, "start", by=lena)
    worker.lose_everything()
    Operation.objects.filter(container=ours).update(outcome="done")
    began: list[str] = []

    def other_is_faster(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith("UPDATE") and not began:
            began.append(sql)
            Operation.objects.filter(container=first).update(woken_at=timezone.now())
        return execute(sql, *rest)

    with connection.execute_wrapper(other_is_faster):
        carrying._wake_next(last_operation(ours))
    assert worker.waiting == [last_operation(second).pk]


def test_what_rests_keeps_nothing_that_is_due_from_being_woken(
    lena: User, node: Node, worker: Worker, clock: Clock, settings: Any
) -> None:
    settings.NODE_CONCURRENCY = 1
    ours, rests, due = (ContainerFactory.create(customer=lena, node=node) for _ in range(3))
    for container in (ours, rests, due):
        operations.request(container.pk, "start", by=lena)
    worker.lose_everything()
    Operation.objects.filter(container=ours).update(outcome="done")
    later = clock.now() + timedelta(seconds=20)
    Operation.objects.filter(container=rests).update(not_before=later)
    carrying._wake_next(last_operation(ours))
    assert worker.waiting == [last_operation(due).pk]


def test_a_hand_free_again_goes_on_with_what_a_dead_worker_left(
    lena: User, node: Node, worker: Worker, instead: Any, clock: Clock, settings: Any
) -> None:
    """It was woken for while all hands were full, and nothing wakes it a second time."""
    settings.NODE_CONCURRENCY = 1
    left, busy = (ContainerFactory.create(customer=lena, node=node) for _ in range(2))
    real = work.STEPS["start"]

    def dies(job: work.Job) -> work.Steps:
        yield Progress()
        raise Killed

    def steps(job: work.Job) -> work.Steps:
        operations.carry_out(last_operation(left).pk)
        instead("start", real)
        yield from job.node.start(job.name)

    instead("start", dies)
    operations.request(left.pk, "start", by=lena)
    with pytest.raises(Killed):
        worker.carry_out_all()
    clock.advance(by=settings.LEASE + timedelta(seconds=1))
    instead("start", steps)
    ask_and_wait(busy, "start", worker, lena)
    assert {fresh(left).status, fresh(busy).status} == {Status.RUNNING}


def test_a_database_that_fails_in_the_middle_is_not_blamed_on_the_node(
    container: Container,
    lena: User,
    worker: Worker,
    clock: Clock,
    instead: Any,
    settings: Any,
) -> None:
    real = work.STEPS["start"]

    def steps(job: work.Job) -> work.Steps:
        yield Progress()
        raise OperationalError("server closed the connection")

    instead("start", steps)
    container = ask_and_wait(container, "start", worker, lena)
    assert (container.status, container.problem) == (Status.BOOTING, "")
    instead("start", real)
    clock.advance(by=settings.LEASE + timedelta(seconds=1))
    operations.sweep()
    worker.carry_out_all()
    assert fresh(container).status == Status.RUNNING
