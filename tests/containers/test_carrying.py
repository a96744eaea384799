"""The worker's side: it does on the node what was asked, and writes down what the node reports."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from containers import operations
from containers.connect import simulated
from containers.drivers import Conflict, Progress
from containers.models import Container, Node, Operation
from containers.operations import work
from containers.statuses import Status
from panel.models import User
from tests.cast import (
    ContainerFactory,
    effects_on,
)
from tests.conftest import Clock, Worker
from tests.containers.acts import ask_and_wait, fresh, history, last_operation

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("action", "status", "ends", "did"),
    [
        ("start", "stopped", "running", ["started"]),
        ("stop", "running", "stopped", ["stopped"]),
        ("stop", "repairing", "stopped", []),
        ("restart", "running", "running", ["stopped", "started"]),
        ("destroy", "stopped", "destroyed", ["deleted"]),
        ("destroy", "repairing", "destroyed", ["deleted"]),
    ],
)
def test_work_ends_where_the_table_says_and_the_node_agrees(
    action: str,
    status: str,
    ends: str,
    did: list[str],
    lena: User,
    ada: User,
    node: Node,
    worker: Worker,
) -> None:
    container = ContainerFactory.create(customer=lena, status=status, node=node)
    before = effects_on(node, of=container)
    container = ask_and_wait(container, action, worker, ada)

    assert (container.status, container.problem, container.operation) == (ends, "", None)
    assert effects_on(node, of=container)[len(before) :] == did
    operation = last_operation(container)
    assert (operation.outcome, operation.progress, operation.attempts) == ("done", 100, 1)
    assert operation.ended_at == container.status_since
    assert operation.held_until is None
    if ends == "destroyed":
        assert (container.node, container.address) == (None, "")


def test_creation_makes_what_was_ordered(lena: User, node: Node, worker: Worker) -> None:
    container = ContainerFactory.create(customer=lena, status=Status.ORDERED, name="shop")
    operations.request(container.pk, "create", by=None)
    assert fresh(container).node == node
    worker.carry_out_all()
    container = fresh(container)
    assert container.status == Status.STOPPED
    assert effects_on(node, of=container) == ["created"]
    hostname = b"".join(simulated(node).read_file(container.instance_name, "/etc/hostname"))
    assert hostname.decode().strip() == "shop"


def test_the_address_that_the_node_gave_is_shown(
    container: Container, lena: User, worker: Worker
) -> None:
    container = ask_and_wait(container, "start", worker, lena)
    assert container.node is not None
    seen = simulated(container.node).instance(container.instance_name)
    assert seen is not None
    assert container.address == seen.address != ""


def test_a_restart_is_one_operation_that_passes_through_stopping_and_booting(
    lena: User, node: Node, worker: Worker
) -> None:
    container = ContainerFactory.create(customer=lena, status=Status.RUNNING, node=node)
    ask_and_wait(container, "restart", worker, lena)
    assert history(container) == [
        ("running", "stopping"),
        ("stopping", "booting"),
        ("booting", "running"),
    ]
    assert container.changes.get(from_status="stopping").because == "restarting"
    assert container.operations.count() == 1
    assert container.changes.exclude(operation=last_operation(container)).count() == 0


def test_what_the_node_says_while_it_works_can_be_watched(
    container: Container, lena: User, worker: Worker, instead: Any, every_step: None
) -> None:
    seen = []

    def steps(job: work.Job) -> work.Steps:
        for percent in (10, 60, 60):
            before = fresh(container).revision
            yield Progress(percent, f"at {percent}")
            operation = last_operation(container)
            seen.append((operation.progress, operation.step, fresh(container).revision > before))
        yield from job.node.start(job.name)

    instead("start", steps)
    assert ask_and_wait(container, "start", worker, lena).status == Status.RUNNING
    assert seen == [(10, "at 10", True), (60, "at 60", True), (60, "at 60", False)]


def test_what_comes_of_the_work_on_one_container_is_said_of_no_other(
    container: Container,
    node: Node,
    lena: User,
    worker: Worker,
    clock: Clock,
    instead: Any,
    every_step: None,
) -> None:
    for status in (Status.STOPPED, Status.RUNNING, Status.ORDERED):
        ContainerFactory.create(customer=lena, status=status, node=node)
    ContainerFactory.create(customer=lena, status=Status.BOOTING)

    def all_others() -> tuple[object, ...]:
        return (
            *Container.objects.exclude(pk=container.pk).order_by("pk").values(),
            *Operation.objects.exclude(container=container).values(),
        )

    def steps(job: work.Job) -> work.Steps:
        yield Progress(10, "at 10")
        if last_operation(container).attempts == 1:
            raise Conflict("busy")
        yield from job.node.start(job.name)

    before = all_others()
    instead("start", steps)
    waits = ask_and_wait(container, "start", worker, lena)
    assert (waits.status, waits.problem) == (Status.BOOTING, Conflict.sentence)
    assert all_others() == before
    clock.advance(31)
    operations.carry_out(last_operation(container).pk)
    assert fresh(container).status == Status.RUNNING
    assert all_others() == before


def test_no_transaction_is_open_while_a_node_works(
    lena: User, node: Node, instead: Any, django_capture_on_commit_callbacks: Any
) -> None:
    """Seen from inside the test's own transaction: no savepoint is open."""
    connection = transaction.get_connection()
    depth = len(connection.savepoint_ids)
    container = ContainerFactory.create(customer=lena, node=node)
    deeper = []

    def steps(job: work.Job) -> work.Steps:
        deeper.append(len(connection.savepoint_ids) - depth)
        yield from job.node.start(job.name)

    instead("start", steps)
    operation = operations.request(container.pk, "start", by=lena)
    assert operation is not None
    operations.carry_out(operation.pk)
    assert deeper == [0]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(4.16, "4.2 s"), (425.1, "7 min 5 s"), (3600, "1 h 0 min"), (7525, "2 h 5 min")],
)
def test_what_took_long_is_shown_in_two_units(seconds: float, shown: str) -> None:
    now = timezone.now()
    operation = Operation(asked_at=now, ended_at=now + timedelta(seconds=seconds))
    assert operation.took == shown
