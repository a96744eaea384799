"""The safety net: what nobody is at work on is found, and what somebody is at work on is left."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from containers import operations
from containers.models import Container, Node, Operation
from containers.operations.sweeping import LOST_AFTER
from containers.statuses import Status
from panel.models import User
from tests.cast import ContainerFactory, OperationFactory
from tests.conftest import Clock, Worker

pytestmark = pytest.mark.django_db

SOON = LOST_AFTER + timedelta(seconds=1)


@pytest.fixture
def operation(container: Container, lena: User, worker: Worker) -> Operation:
    """Asked for, and its wake-up is lost."""
    operation = operations.request(container.pk, "start", by=lena)
    assert operation is not None
    worker.lose_everything()
    return operation


def test_a_lost_wake_up_is_made_good(operation: Operation, worker: Worker, clock: Clock) -> None:
    clock.advance(by=SOON)
    operations.sweep()
    worker.carry_out_all()
    assert Container.objects.get().status == Status.RUNNING


def test_a_queue_that_does_not_answer_loses_nothing(
    container: Container, lena: User, worker: Worker, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(_: Any) -> None:
        raise OSError("no queue")

    with monkeypatch.context() as broken:
        broken.setattr(worker, "_queued", [])
        broken.setattr("huey.contrib.djhuey.HUEY.enqueue", unreachable)
        operations.request(container.pk, "start", by=lena)
    worker.lose_everything()
    assert Container.objects.get().status == Status.BOOTING
    clock.advance(by=SOON)
    operations.sweep()
    worker.carry_out_all()
    assert Container.objects.get().status == Status.RUNNING


def test_a_wake_up_is_given_time_to_arrive(
    operation: Operation, worker: Worker, clock: Clock
) -> None:
    clock.advance(by=LOST_AFTER / 2)
    operations.sweep()
    assert worker.waiting == []


def test_a_wake_up_is_not_repeated_with_every_sweep(
    operation: Operation, worker: Worker, clock: Clock
) -> None:
    clock.advance(by=SOON)
    for _ in range(5):
        operations.sweep()
        clock.advance(1)
    assert worker.waiting == [operation.pk]


def test_what_a_worker_holds_is_left_alone(
    operation: Operation, worker: Worker, clock: Clock
) -> None:
    clock.advance(by=SOON)
    Operation.objects.update(held_by="somebody", held_until=clock.now() + timedelta(seconds=5))
    operations.sweep()
    assert worker.waiting == []


def test_a_dead_workers_work_is_taken_up_as_soon_as_its_lease_has_run_out(
    operation: Operation, worker: Worker, clock: Clock, settings: Any
) -> None:
    Operation.objects.update(held_by="the dead", held_until=clock.now() + settings.LEASE)
    clock.advance(by=settings.LEASE + timedelta(seconds=0.1))
    operations.sweep()
    assert worker.waiting == [operation.pk], "at once: not only when the wake-up counts as lost"
    worker.carry_out_all()
    assert Container.objects.get().status == Status.RUNNING


def test_what_was_put_back_is_woken_when_its_time_has_come(
    operation: Operation, worker: Worker, clock: Clock
) -> None:
    Operation.objects.update(not_before=clock.now() + timedelta(seconds=4))
    clock.advance(3)
    operations.sweep()
    assert worker.waiting == []
    clock.advance(2)
    operations.sweep()
    assert worker.waiting == [operation.pk]


def test_work_on_a_node_that_is_off_line_waits(
    operation: Operation, worker: Worker, clock: Clock
) -> None:
    ContainerFactory.create(status=Status.OFFLINE, on_node=False)
    offline = Container.objects.get(status=Status.OFFLINE)
    OperationFactory.create(container=offline, during=Status.BOOTING)
    clock.advance(by=SOON)
    operations.sweep()
    assert worker.waiting == [operation.pk]


def test_work_that_has_ended_is_not_woken(
    operation: Operation, worker: Worker, clock: Clock
) -> None:
    operations.carry_out(operation.pk)
    worker.lose_everything()
    clock.advance(by=SOON)
    operations.sweep()
    assert worker.waiting == []


def test_a_wake_up_that_comes_twice_or_late_does_nothing(
    operation: Operation, container: Container
) -> None:
    operations.carry_out(operation.pk)
    before = Operation.objects.values().get()
    operations.carry_out(operation.pk)
    operations.carry_out(operation.pk + 1)
    assert Operation.objects.values().get() == before
    assert container.changes.count() == 2


def test_a_sweep_with_nothing_to_do_is_cheap(
    node: Node, lena: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(20):
        ContainerFactory.create(customer=lena, node=node, on_node=False)
    with django_assert_max_num_queries(2):
        operations.sweep()


def test_a_creation_that_cannot_be_tried_does_not_keep_the_others_waiting(
    node: Node, lena: User, worker: Worker, clock: Clock
) -> None:
    huge = ContainerFactory.create(customer=lena, status=Status.ORDERED, memory_mb=10**6)
    small = ContainerFactory.create(customer=lena, status=Status.ORDERED)
    Container.objects.update(create_again_at=clock.now())
    clock.advance(1)
    operations.sweep()
    worker.carry_out_all()
    huge.refresh_from_db()
    small.refresh_from_db()
    assert (huge.status, small.status) == (Status.ORDERED, Status.STOPPED)
