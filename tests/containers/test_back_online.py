"""A node that is back: its containers are what it says, and their work is taken up again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from containers import observe, operations, reports
from containers.drivers import Power, Progress
from containers.models import Container, Node, Operation, StatusChange
from containers.observe import Watcher, look_at
from containers.operations import work
from containers.statuses import TRANSIENT, Status
from panel.models import User
from tests.cast import ContainerFactory, OperationFactory, effects_on
from tests.conftest import Clock, Worker
from tests.containers.acts import broken, fresh, history, look
from tests.tampering import simulated

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("was", "found", "becomes"),
    [
        (Status.STOPPED, Power.STOPPED, Status.STOPPED),
        (Status.RUNNING, Power.RUNNING, Status.RUNNING),
        (Status.RUNNING, Power.STOPPED, Status.STOPPED),
        (Status.STOPPED, Power.RUNNING, Status.RUNNING),
        (Status.REPAIRING, Power.STOPPED, Status.STOPPED),
    ],
)
def test_back_again_a_container_takes_the_status_that_its_node_reports(
    was: Status, found: Power, becomes: Status, node: Node, lena: User, watcher: Watcher
) -> None:
    container = ContainerFactory.create(customer=lena, node=node, status=was)
    broken(node, unplugged=True)
    look(watcher, 3)
    simulated(node).power(container.instance_name, found)
    broken(node)
    look(watcher)
    node.refresh_from_db()
    assert (node.online, node.misses, node.problem) == (True, 0, "")
    assert (fresh(container).status, fresh(container).problem) == (becomes, "")
    assert history(container) == [(was, "offline"), ("offline", becomes)]
    assert container.changes.latest("pk").because == "node node-a is back"


def test_all_containers_of_a_node_that_is_back_change_in_one_statement_for_each_status(
    node: Node, lena: User, worker: Worker, watcher: Watcher, clock: Clock
) -> None:
    was = [Status.RUNNING, Status.STOPPED, Status.STOPPED, Status.BOOTING, Status.STOPPING] * 8
    containers = [
        ContainerFactory.create(customer=lena, node=node, status=status) for status in was
    ]
    observe.missed(Node.objects.get(), "no answer")
    Node.objects.update(misses=2)
    observe.missed(Node.objects.get(), "no answer")
    for one in containers[1::5]:
        simulated(node).power(one.instance_name, Power.RUNNING)
    simulated(node).lose(containers[2].instance_name)
    clock.advance(1)
    answer = look_at(node)
    with CaptureQueriesContext(connection) as queries:
        observe.record_looks({node: answer})
    updates = [q for q in queries if q["sql"].startswith('UPDATE "containers_container" SET "st')]
    assert len(updates) == 4
    assert len(queries) < 40
    becomes = ["running", "running", "stopped", "booting", "stopping"] * 8
    becomes[2] = "offline"
    assert [fresh(one).status for one in containers] == becomes
    for one, before, after in zip(containers, was, becomes, strict=True):
        assert history(one) == [(before, "offline")] + [("offline", after)] * (after != "offline")
        assert fresh(one).revision == 3
    again = {one.operation for one in map(fresh, containers) if one.operation}
    assert set(worker.waiting) == {operation.pk for operation in again}
    assert {c.operation for c in StatusChange.objects.filter(operation__isnull=False)} == again
    worker.carry_out_all()
    assert not Operation.objects.open().exists()


@pytest.mark.parametrize("status", sorted(TRANSIENT))
def test_work_that_was_under_way_waits_and_is_taken_up_again(
    status: Status,
    node: Node,
    other_node: Node,
    lena: User,
    worker: Worker,
    watcher: Watcher,
    clock: Clock,
) -> None:
    container = ContainerFactory.create(customer=lena, node=node, status=status)
    Operation.objects.update(target=None if status != Status.MIGRATING else other_node)
    operation = container.operations.get()
    broken(node, unplugged=True)
    look(watcher, 3)
    assert fresh(container).status == Status.OFFLINE
    assert fresh(container).operation == operation

    before = Operation.objects.values().get(), Container.objects.values().get()
    clock.advance(by=timedelta(hours=12))
    operations.sweep()
    operations.carry_out(operation.pk)
    after = Operation.objects.values().get(), Container.objects.values().get()
    assert after == before, "nothing is tried before it is back"

    broken(node)
    look(watcher)
    assert fresh(container).status == status
    operation.refresh_from_db()
    assert operation.deadline_at - clock.now() > timedelta(minutes=4), "all its time once more"
    worker.carry_out_all()
    operation.refresh_from_db()
    assert (operation.outcome, operation.error) == ("done", "")
    assert fresh(container).status not in {*TRANSIENT, Status.OFFLINE}
    assert history(container)[:2] == [(status, "offline"), ("offline", status)]


def test_work_that_is_taken_up_again_has_the_time_of_its_own_kind(
    node: Node, lena: User, watcher: Watcher, clock: Clock
) -> None:
    for status in (Status.CREATING, Status.BOOTING, Status.STOPPING):
        ContainerFactory.create(customer=lena, node=node, status=status)
    reports.lose(node, "no answer")
    look(watcher)
    for operation in Operation.objects.all():
        left = operation.deadline_at - clock.now()
        longest = Container.deadline_of(operation.kind)
        assert longest - timedelta(minutes=1) < left <= longest


def test_what_has_ended_and_the_work_of_other_nodes_stay_as_they_are_when_one_is_back(
    node: Node, other_node: Node, lena: User, watcher: Watcher
) -> None:
    here, _ = (
        ContainerFactory.create(customer=lena, node=at, status=Status.BOOTING)
        for at in (node, other_node)
    )
    under_way = here.operation
    assert under_way is not None
    OperationFactory.create(container=here, outcome="done")
    others = Operation.objects.exclude(pk=under_way.pk).order_by("pk")
    before = list(others.values())
    broken(node, unplugged=True)
    look(watcher, 3)
    broken(node)
    look(watcher)
    assert fresh(here).status == Status.BOOTING
    assert list(others.values()) == before
    assert [change.operation for change in here.changes.all()] == [under_way, under_way]


def test_a_worker_whose_node_goes_off_line_under_its_hands_writes_no_outcome(
    container: Container,
    node: Node,
    lena: User,
    worker: Worker,
    watcher: Watcher,
    clock: Clock,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = work.STEPS["start"]

    def steps(job: work.Job) -> work.Steps:
        yield Progress(50)
        broken(node, unplugged=True)
        look(watcher, 3)
        broken(node)
        yield from real(job)

    monkeypatch.setitem(work.STEPS, "start", steps)
    operations.request(container.pk, "start", by=lena)
    worker.carry_out_all()
    assert fresh(container).status == Status.OFFLINE
    assert fresh(container).operation is not None

    monkeypatch.setitem(work.STEPS, "start", real)
    look(watcher)
    clock.advance(by=settings.LEASE + timedelta(seconds=1))
    operations.sweep()
    worker.carry_out_all()
    assert fresh(container).status == Status.RUNNING
    assert effects_on(node, of=container) == ["created", "started"]


def test_one_that_is_gone_when_its_node_is_back_says_so(
    container: Container, node: Node, watcher: Watcher
) -> None:
    broken(node, unplugged=True)
    look(watcher, 3)
    simulated(node).lose(container.instance_name)
    broken(node)
    look(watcher)
    assert fresh(container).status == Status.OFFLINE
    assert "does not have this container" in fresh(container).problem
    revision = fresh(container).revision
    look(watcher)
    assert fresh(container).revision == revision
