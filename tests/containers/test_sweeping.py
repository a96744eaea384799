"""The safety net: what nobody is at work on is found, and what somebody is at work on is left."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models import F
from pytest_django import DjangoAssertNumQueries

from containers import operations
from containers.models import Container, Node, Operation
from containers.operations import carrying, sweeping
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


def _unreachable(_: Any) -> None:
    raise OSError("no queue")


def test_what_a_queue_did_not_take_is_woken_by_the_next_sweep(
    container: Container, lena: User, worker: Worker
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huey.contrib.djhuey.HUEY.enqueue", _unreachable)
        operations.request(container.pk, "start", by=lena)
        assert worker.waiting == []
        operations.sweep()
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


def waiting_on(node: Node, count: int) -> list[int]:
    """So many operations on a node, whose wake-ups are lost."""
    made = [
        ContainerFactory.create(node=node, status=Status.BOOTING, on_node=False)
        for _ in range(count)
    ]
    Operation.objects.update(woken_at=F("asked_at") - SOON)
    return [container.operations.get().pk for container in made]


def test_a_node_with_more_than_it_can_do_keeps_no_other_waiting(
    node: Node, other_node: Node, worker: Worker, settings: Any
) -> None:
    settings.NODE_CONCURRENCY = 2
    many, few = waiting_on(node, 5), waiting_on(other_node, 1)
    operations.sweep()
    assert worker.waiting == [*many[:2], *few]


def test_a_node_that_has_its_hands_full_is_left_in_peace(
    node: Node, worker: Worker, settings: Any, clock: Clock
) -> None:
    settings.NODE_CONCURRENCY = 2
    held = waiting_on(node, 4)[:2]
    Operation.objects.filter(pk__in=held).update(held_until=clock.now() + settings.LEASE)
    operations.sweep()
    assert worker.waiting == []


def test_a_sweep_that_finds_thousands_wakes_some_in_a_few_statements(
    node: Node,
    worker: Worker,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    settings.NODE_CONCURRENCY = 100
    monkeypatch.setattr(sweeping, "AT_ONCE", 8)
    every = waiting_on(node, 20)
    with django_assert_max_num_queries(3):
        operations.sweep()
    assert worker.waiting == every[:8]
    operations.sweep()
    assert worker.waiting == every[:16], "whoever has waited longest comes first"


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


@pytest.mark.django_db(transaction=True)
def test_a_click_is_taken_although_the_database_is_gone_right_after_it(
    container: Container, lena: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has been committed is taken: whoever clicked is told so, and the sweep wakes for it."""

    def gone(operation_id: int) -> None:
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(carrying, "_enqueue_or_leave", gone)
    operations.request(container.pk, "start", by=lena)
    assert Operation.objects.get().is_open
