"""Creation, what becomes of one that fails, and of one for which there is no room."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from containers import operations
from containers.connect import spec_of
from containers.drivers import Power, Progress, Refused
from containers.models import Container, Node, Operation
from containers.operations import NotAllowed, asking, outcomes, work
from containers.placement import NO_ROOM, NoNodeFits
from containers.statuses import Status
from panel.models import User
from tests.cast import (
    ContainerFactory,
    OrderFactory,
    effects_on,
    room_on,
)
from tests.conftest import Clock, Worker
from tests.containers.acts import broken, fresh, last_operation
from tests.tampering import simulated

pytestmark = pytest.mark.django_db


@pytest.fixture
def ordered(lena: User, node: Node) -> Container:
    return ContainerFactory.create(customer=lena, status=Status.ORDERED)


@pytest.mark.parametrize("fault", ["failing", "full"])
def test_a_failed_creation_goes_back_to_ordered_and_gives_the_room_back(
    fault: str, ordered: Container, node: Node, worker: Worker
) -> None:
    broken(node, **{fault: True})
    operations.request(ordered.pk, "create", by=None)
    assert room_on(node).containers_here == 1
    worker.carry_out_all()
    container = fresh(ordered)
    assert (container.status, container.node) == (Status.ORDERED, None)
    assert container.problem
    assert room_on(node).containers_here == 0
    assert simulated(node).instance(container.instance_name) is None


def test_a_failed_creation_is_tried_again_with_growing_pauses_and_then_waits(
    ordered: Container, node: Node, worker: Worker, clock: Clock, settings: Any
) -> None:
    settings.CREATE_PAUSES = [10.0, 60.0]
    broken(node, failing=True)
    operations.request(ordered.pk, "create", by=None)
    worker.carry_out_all()
    for pause in settings.CREATE_PAUSES:
        waits = fresh(ordered).create_again_at
        assert waits is not None
        assert abs((waits - clock.now()).total_seconds() - pause) < 2
        clock.advance(pause / 2)
        operations.sweep()
        assert worker.waiting == [], "its time has not come"
        clock.advance(pause / 2 + 1)
        operations.sweep()
        worker.carry_out_all()
        assert fresh(ordered).status == Status.ORDERED

    assert fresh(ordered).create_again_at is None
    assert ordered.operations.count() == 3
    clock.advance(100_000)
    operations.sweep()
    assert worker.waiting == []


def test_a_creation_that_meets_another_container_of_its_number_leaves_it_alone(
    ordered: Container, omar: User, node: Node, worker: Worker
) -> None:
    """After a restore: the number was given to somebody else as well, who has files in it."""
    other = replace(spec_of(ordered), labels={"ordered-at": "2026-01-01T00:00:00+00:00"})
    simulated(node).seed(other)
    before = simulated(node).journal()
    operations.request(ordered.pk, "create", by=None)
    worker.carry_out_all()
    assert (fresh(ordered).status, fresh(ordered).node) == (Status.ORDERED, None)
    assert last_operation(ordered).error_detail.endswith("was made for another container")
    assert simulated(node).journal() == before
    assert simulated(node).describe(ordered.instance_name) == other


def test_a_creation_that_was_done_before_containers_were_marked_counts(
    ordered: Container, node: Node, worker: Worker
) -> None:
    simulated(node).seed(replace(spec_of(ordered), labels={}))
    operations.request(ordered.pk, "create", by=None)
    worker.carry_out_all()
    assert fresh(ordered).status == Status.STOPPED
    assert effects_on(node, of=ordered) == ["created"]


def test_what_was_paid_and_given_up_waits_in_a_list_and_can_be_tried_again(
    node: Node, worker: Worker, settings: Any
) -> None:
    from orders.models import Order

    settings.CREATE_PAUSES = []
    order = OrderFactory.create(status=Order.Status.PAID)
    broken(node, failing=True)
    operations.request(order.container_id, "create", by=None)
    assert not Order.objects.paid_not_created().exists()
    worker.carry_out_all()
    assert list(Order.objects.paid_not_created()) == [order]

    broken(node)
    operations.try_again(order.container_id)
    operations.sweep()
    worker.carry_out_all()
    assert fresh(order.container).status == Status.STOPPED
    assert not Order.objects.paid_not_created().exists()


def test_a_creation_that_works_out_later_forgets_its_failures(
    ordered: Container, node: Node, worker: Worker, clock: Clock
) -> None:
    broken(node, failing=True)
    operations.request(ordered.pk, "create", by=None)
    worker.carry_out_all()
    broken(node)
    clock.advance(11)
    operations.sweep()
    assert fresh(ordered).create_again_at is None, "it is being tried now"
    worker.carry_out_all()
    container = fresh(ordered)
    assert (container.status, container.problem) == (Status.STOPPED, "")
    assert (container.create_tries, container.create_again_at) == (0, None)
    assert effects_on(node, of=container) == ["created"]


def test_where_no_node_has_room_it_waits_says_so_and_is_tried_again(
    ordered: Container, node: Node, worker: Worker, clock: Clock, settings: Any
) -> None:
    Node.objects.update(in_service=False)
    with pytest.raises(NoNodeFits):
        operations.request(ordered.pk, "create", by=None)
    container = fresh(ordered)
    assert (container.status, container.node) == (Status.ORDERED, None)
    assert container.problem == NO_ROOM
    assert not Operation.objects.exists()

    clock.advance(settings.ROOM_PAUSE + 1)
    operations.sweep()
    waits = fresh(ordered).create_again_at
    assert waits is not None
    assert waits > clock.now(), "still none: it waits once more"
    assert worker.waiting == []

    Node.objects.update(in_service=True)
    clock.advance(settings.ROOM_PAUSE + 1)
    operations.sweep()
    worker.carry_out_all()
    assert fresh(ordered).status == Status.STOPPED


def test_a_creation_that_is_given_up_leaves_nothing_half_made(
    ordered: Container, node: Node, worker: Worker, instead: Any
) -> None:
    def breaks_off(job: work.Job) -> work.Steps:
        simulated(node).seed(job.spec, Power.BUSY, pace=10_000)
        yield Progress()
        raise Refused("the image is damaged")

    instead("create", breaks_off)
    operations.request(ordered.pk, "create", by=None)
    worker.carry_out_all()
    assert fresh(ordered).status == Status.ORDERED
    assert simulated(node).unfinished() == {}


def test_a_creation_that_fails_deletes_nothing_that_another_panel_has_begun(
    ordered: Container, node: Node, worker: Worker, instead: Any
) -> None:
    def refused(job: work.Job) -> work.Steps:
        raise Refused("no")

    instead("create", refused)
    theirs = replace(spec_of(ordered), labels={"number": str(ordered.pk), "ordered-at": "then"})
    simulated(node).seed(theirs, Power.BUSY, pace=1)
    operations.request(ordered.pk, "create", by=None)
    worker.carry_out_all()
    assert last_operation(ordered).outcome == Operation.Outcome.FAILED
    assert ordered.instance_name in simulated(node).unfinished()


def test_where_one_waits_for_room_nothing_is_said_of_another(
    ordered: Container, node: Node, lena: User
) -> None:
    other = ContainerFactory.create(customer=lena, status=Status.ORDERED)
    Node.objects.update(in_service=False)
    with pytest.raises(NoNodeFits):
        operations.request(ordered.pk, "create", by=None)
    assert fresh(ordered).revision == ordered.revision + 1
    now = fresh(other)
    assert (now.problem, now.create_again_at, now.revision) == ("", None, other.revision)


@pytest.mark.parametrize("meanwhile", ["taken back", "created"])
def test_of_what_is_taken_back_or_created_meanwhile_nobody_says_that_it_waits_for_room(
    meanwhile: str, ordered: Container, node: Node, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_late(container_id: int, *_: Any, **__: Any) -> None:
        if meanwhile == "created":
            Container.objects.filter(pk=container_id).update(node=node)
        else:
            Container.objects.filter(pk=container_id).update(withdrawn_at=clock.now())
        raise NoNodeFits(NO_ROOM)

    monkeypatch.setattr(asking, "_request", too_late)
    with pytest.raises(NoNodeFits):
        operations.request(ordered.pk, "create", by=None)
    assert (fresh(ordered).problem, fresh(ordered).create_again_at) == ("", None)


def test_what_left_the_list_is_not_created(
    ordered: Container, worker: Worker, clock: Clock
) -> None:
    Container.objects.update(withdrawn_at=clock.now(), create_again_at=clock.now())
    clock.advance(1)
    operations.sweep()
    assert worker.waiting == []
    assert fresh(ordered).status == Status.ORDERED
    with pytest.raises(NotAllowed):
        operations.request(ordered.pk, "create", by=None)


def test_others_hear_of_a_creation_inside_its_transaction(
    ordered: Container, node: Node, worker: Worker
) -> None:
    """What a listener cannot do undoes the record, and the worker tries again later."""

    def cannot(**_: Any) -> None:
        raise RuntimeError("the order cannot be found")

    outcomes.creation_ended.connect(cannot, weak=False)
    try:
        operations.request(ordered.pk, "create", by=None)
        with pytest.raises(RuntimeError):
            worker.carry_out_all()
    finally:
        outcomes.creation_ended.disconnect(cannot)
    assert fresh(ordered).status == Status.CREATING
    assert last_operation(ordered).is_open
