"""Many at once: exactly one effect, and a plain answer for everybody else."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from containers import observe, operations, reports
from containers.drivers import Power
from containers.models import Container, Node, Operation, StatusChange
from containers.operations import NotAllowed, asking, work
from containers.operations.claiming import claim
from containers.placement import NoNodeFits, place
from containers.statuses import Status
from panel.models import User
from tests.cast import ContainerFactory, NodeFactory, UserFactory, effects_on, room_on
from tests.conftest import JustThen, Worker
from tests.tampering import simulated

pytestmark = pytest.mark.django_db(transaction=True)

# What the end of an Operation asks the table, with its rows read and nothing written yet.
DECIDED = "get_available_status_transitions"


def all_at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each call returned or raised; they begin together, each on its own connection."""
    results: list[Any] = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def run(number: int) -> None:
        try:
            connection.ensure_connection()
            start.wait(30)
            results[number] = calls[number]()
        except Exception as error:
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


@pytest.fixture
def twin_of() -> Callable[[Client], Client]:
    """Another tab of the same browser."""

    def twin(client: Client) -> Client:
        other = Client(raise_request_exception=False)
        other.cookies = client.cookies
        return other

    return twin


def test_fifty_simultaneous_starts_make_one_operation_and_forty_nine_plain_refusals(
    container: Container,
    as_lena: Client,
    worker: Worker,
    twin_of: Callable[[Client], Client],
) -> None:
    address = f"/containers/{container.pk}/act/"
    tabs = [twin_of(as_lena) for _ in range(50)]
    answers = all_at_once([partial(tab.post, address, {"action": "start"}) for tab in tabs])

    assert Counter(answer.status_code for answer in answers) == {302: 1, 409: 49}
    for answer in answers:
        if answer.status_code == 409:
            assert "Start is not possible" in answer.content.decode()
    assert Operation.objects.count() == StatusChange.objects.count() == 1
    assert len(worker.waiting) == 1
    worker.carry_out_all()
    assert effects_on(container.node, of=container) == ["created", "started"]


def test_different_wishes_at_once_are_granted_one_after_the_other_or_not_at_all(
    container: Container, ada: User
) -> None:
    wishes = ["start", "repair", "destroy", "start", "repair", "destroy"]
    results = all_at_once(
        [partial(operations.request, container.pk, wish, by=ada) for wish in wishes]
    )
    refused = [result for result in results if isinstance(result, NotAllowed)]
    failed = [r for r in results if isinstance(r, Exception) and not isinstance(r, NotAllowed)]
    assert not failed
    changes = list(StatusChange.objects.order_by("pk"))
    assert 1 <= len(changes) == len(wishes) - len(refused)
    assert all(earlier.to_status == later.from_status for earlier, later in pairwise(changes))
    assert changes[-1].to_status == Container.objects.get().status
    assert Operation.objects.open().count() == 1


def test_of_many_workers_that_are_woken_one_takes_the_work(
    container: Container, lena: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[str] = []
    real = work.STEPS["start"]

    def steps(job: work.Job) -> work.Steps:
        began.append(job.name)
        time.sleep(0.2)
        yield from real(job)

    def hold_them_up() -> None:
        """So that all of them want the same row at the same moment."""
        with transaction.atomic():
            Operation.objects.select_for_update().get()
            time.sleep(0.5)

    monkeypatch.setitem(work.STEPS, "start", steps)
    operation = operations.request(container.pk, "start", by=lena)
    assert operation is not None
    results = all_at_once([hold_them_up] + [lambda: operations.carry_out(operation.pk)] * 20)
    assert results == [None] * 21
    assert len(began) == 1
    operation.refresh_from_db()
    assert (operation.attempts, operation.outcome) == (1, "done")


def test_no_two_containers_get_the_last_place(lena: User, worker: Worker) -> None:
    NodeFactory.create(name="small", memory_mb=3 * 1024)
    containers = [
        ContainerFactory.create(customer=lena, status=Status.ORDERED, memory_mb=1024)
        for _ in range(8)
    ]
    results = all_at_once(
        [partial(operations.request, c.pk, "create", by=None) for c in containers]
    )
    assert Counter(type(result) for result in results) == {Operation: 3, NoNodeFits: 5}
    assert room_on(Node.objects.get()).memory_left == 0
    worker.carry_out_all()
    assert Container.objects.filter(status=Status.STOPPED).count() == 3


def test_moves_and_creations_share_the_last_place(lena: User, ada: User, node: Node) -> None:
    NodeFactory.create(name="small", memory_mb=2 * 1024)
    moving = [ContainerFactory.create(customer=lena, node=node, memory_mb=1024) for _ in range(3)]
    new = [
        ContainerFactory.create(customer=lena, status=Status.ORDERED, memory_mb=1024)
        for _ in range(3)
    ]
    Node.objects.filter(pk=node.pk).update(in_service=False)
    results = all_at_once(
        [partial(operations.request, c.pk, "migrate", by=ada) for c in moving]
        + [partial(operations.request, c.pk, "create", by=None) for c in new]
    )
    assert Counter(type(result) for result in results) == {Operation: 2, NoNodeFits: 4}
    assert room_on(Node.objects.get(name="small")).memory_left == 0


def test_a_node_that_goes_off_line_and_requests_on_it_do_not_block_each_other(
    ada: User, node: Node, other_node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(container: Container, **wanted: Any) -> Node:
        time.sleep(0.2)
        return place(container, **wanted)

    monkeypatch.setattr(asking, "place", slowly)
    people = [UserFactory.create() for _ in range(10)]
    containers = [ContainerFactory.create(customer=person, node=node) for person in people]
    Node.objects.filter(pk=node.pk).update(misses=2)
    results = all_at_once(
        [
            *[partial(operations.request, c.pk, "migrate", by=ada) for c in containers],
            lambda: observe.missed(Node.objects.get(pk=node.pk), "no answer"),
        ]
    )
    failures = [r for r in results if isinstance(r, Exception) and not isinstance(r, NotAllowed)]
    assert not failures
    assert set(Container.objects.values_list("status", flat=True)) == {Status.OFFLINE}
    for container in containers:
        changes = list(container.changes.order_by("pk"))
        assert changes[-1].to_status == Status.OFFLINE
        if len(changes) == 2:
            assert changes[-1].from_status == changes[0].to_status == Status.MIGRATING


def test_where_a_node_goes_off_line_as_work_ends_there_its_container_is_off_line(
    container: Container, lena: User, node: Node, just_then: JustThen
) -> None:
    operation = operations.request(container.pk, "start", by=lena)
    assert operation is not None
    lost = just_then(Container, DECIDED, partial(reports.lose, node, "no answer"))
    operations.carry_out(operation.pk)
    lost()
    ends = list(container.changes.order_by("pk").values_list("to_status", flat=True))
    assert ends == [Status.BOOTING, Status.RUNNING, Status.OFFLINE]
    assert Container.objects.get().status == Status.OFFLINE


def test_where_a_node_goes_off_line_as_a_move_ends_there_its_container_is_off_line(
    container: Container,
    ada: User,
    other_node: Node,
    just_then: JustThen,
) -> None:
    operation = operations.request(container.pk, "migrate", by=ada)
    assert operation is not None
    lost = just_then(Container, DECIDED, partial(reports.lose, other_node, "no answer"))
    operations.carry_out(operation.pk)
    lost()
    moved = Container.objects.get()
    assert (moved.node, moved.status) == (other_node, Status.OFFLINE)


def test_what_the_watcher_finds_stopped_is_not_being_stopped_at_the_same_time(
    lena: User, node: Node, just_then: JustThen
) -> None:
    container = ContainerFactory.create(customer=lena, node=node, status=Status.RUNNING)
    # So that its address is no news any more.
    observe.record_looks({node: observe.look_at(node)})
    simulated(node).power(container.instance_name, Power.STOPPED)
    stop = partial(operations.refusal, container.pk, "stop", by=lena)
    refused = just_then(Container, "found_stopped", stop)
    observe.record_looks({node: observe.look_at(node)})
    assert "Stop is not possible" in refused()
    assert Container.objects.get().status == Status.STOPPED
    assert not Operation.objects.exists()


def test_work_that_ends_as_its_lease_does_is_taken_by_nobody_else(
    container: Container,
    lena: User,
    just_then: JustThen,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    operation = operations.request(container.pk, "start", by=lena)
    assert operation is not None
    long_ago = timezone.now() - timedelta(days=1)

    def steps(job: work.Job) -> work.Steps:
        yield from job.node.start(job.name)
        Operation.objects.update(held_until=long_ago)

    monkeypatch.setitem(work.STEPS, "start", steps)
    taken = just_then(Container, DECIDED, partial(claim, operation.pk))
    operations.carry_out(operation.pk)
    assert taken() is None
    operation.refresh_from_db()
    assert (operation.attempts, operation.outcome) == (1, "done")


def test_two_sweeps_and_a_wake_up_at_once_do_the_work_once(
    container: Container, lena: User, worker: Worker
) -> None:
    operation = operations.request(container.pk, "start", by=lena)
    assert operation is not None
    Operation.objects.update(woken_at=operation.asked_at - operations.sweeping.LOST_AFTER * 2)
    worker.lose_everything()
    all_at_once([operations.sweep] * 2)
    assert worker.waiting
    all_at_once([partial(operations.carry_out, pk) for pk in worker.waiting])
    assert effects_on(container.node, of=container) == ["created", "started"]


def test_who_asks_for_everything_at_once_gets_no_more_than_one_after_the_other(
    lena: User, settings: Settings
) -> None:
    settings.ASKED_A_MINUTE = 2
    mine = ContainerFactory.create_batch(6, customer=lena)
    all_at_once([partial(operations.request, each.pk, "start", by=lena) for each in mine])
    assert Operation.objects.count() == 2
