"""What fails ends where it began and says why; what is unknown is asked again, not for ever."""

from __future__ import annotations

from typing import Any

import pytest

from containers import operations
from containers.drivers import Conflict, Power, Refused, Unreachable
from containers.models import Container, Node
from containers.operations import concluding, work
from containers.statuses import Status
from panel.models import User
from tests.cast import (
    ContainerFactory,
    power_of,
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
from tests.tampering import simulated

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("action", "status", "ends"),
    [
        ("start", "stopped", "stopped"),
        ("stop", "running", "running"),
        ("restart", "running", "running"),
        ("destroy", "stopped", "stopped"),
        ("destroy", "repairing", "repairing"),
        ("migrate", "stopped", "stopped"),
    ],
)
def test_what_a_node_refuses_ends_where_it_began_and_says_why(
    action: str,
    status: str,
    ends: str,
    lena: User,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
) -> None:
    container = ContainerFactory.create(customer=lena, status=status, node=node)
    before = power_of(container)
    broken(node, failing=True)
    container = ask_and_wait(container, action, worker, ada)

    assert (container.status, container.node) == (ends, node)
    assert container.problem == Refused.sentence
    assert power_of(container) == before
    operation = last_operation(container)
    assert (operation.outcome, operation.error) == ("failed", Refused.sentence)
    assert operation.error_detail.startswith("Failed")
    assert operation.attempts == 1
    assert container.changes.latest("pk").because == Refused.sentence


def test_a_restart_that_cannot_boot_ends_stopped_and_says_why(
    lena: User, node: Node, worker: Worker, instead: Any
) -> None:
    container = ContainerFactory.create(customer=lena, status=Status.RUNNING, node=node)

    def steps(job: work.Job) -> work.Steps:
        yield from job.node.stop(job.name)
        yield work.Mark.HALF_WAY
        broken(node, failing=True)
        yield from job.node.start(job.name)

    instead("restart", steps)
    container = ask_and_wait(container, "restart", worker, lena)
    assert (container.status, container.problem) == (Status.STOPPED, Refused.sentence)
    assert history(container)[-1] == ("booting", "stopped")


def test_a_restart_that_is_given_up_after_the_halt_tells_both_halves(
    lena: User, node: Node, worker: Worker, instead: Any
) -> None:
    """The worker stopped it, then the node refused before anybody noted the half-way mark."""
    container = ContainerFactory.create(customer=lena, status=Status.RUNNING, node=node)

    def steps(job: work.Job) -> work.Steps:
        yield from job.node.stop(job.name)
        raise Refused("no more of this")

    instead("restart", steps)
    container = ask_and_wait(container, "restart", worker, lena)
    assert history(container) == [
        ("running", "stopping"),
        ("stopping", "booting"),
        ("booting", "stopped"),
    ]


def test_what_the_steps_say_does_not_count_but_what_the_node_reports(
    container: Container, lena: User, worker: Worker, instead: Any
) -> None:
    def steps(job: work.Job) -> work.Steps:
        yield from job.node.start(job.name)
        raise Refused("an answer that came too late")

    instead("start", steps)
    container = ask_and_wait(container, "start", worker, lena)
    assert (container.status, container.problem) == (Status.RUNNING, "")
    assert last_operation(container).outcome == "done"


def test_a_node_that_claims_success_but_does_not_show_it_is_not_believed(
    container: Container, lena: User, worker: Worker, instead: Any, clock: Clock
) -> None:
    tries = []

    def steps(job: work.Job) -> work.Steps:
        tries.append(job.name)
        yield from ()

    instead("start", steps)
    container = settle(ask_and_wait(container, "start", worker, lena), worker, clock)
    assert container.status == Status.STOPPED
    assert len(tries) == concluding.ATTEMPTS
    assert "reports stopped" in last_operation(container).error_detail


@pytest.mark.parametrize(
    ("action", "refused"), [("create", False), ("start", False), ("start", True)]
)
def test_nothing_is_concluded_while_the_node_is_still_busy_with_it(
    action: str,
    refused: bool,
    lena: User,
    ada: User,
    node: Node,
    worker: Worker,
    instead: Any,
    clock: Clock,
) -> None:
    status = Status.ORDERED if action == "create" else Status.STOPPED
    container = ContainerFactory.create(
        customer=lena, status=status, node=None if action == "create" else node
    )
    real = work.STEPS[action]

    def steps(job: work.Job) -> work.Steps:
        instead(action, real)
        if action == "create":
            yield from real(job)
        simulated(node).power(job.name, Power.BUSY)
        if refused:
            raise Refused("this one says no, while that one is at it")

    instead(action, steps)
    container = ask_and_wait(container, action, worker, ada)
    assert container.is_transient
    assert last_operation(container).is_open

    simulated(node).power(container.instance_name, Power.STOPPED)
    container = settle(container, worker, clock)
    assert container.status == (Status.STOPPED if action == "create" else Status.RUNNING)
    assert container.problem == ""


def test_tries_are_counted_and_come_to_an_end(
    container: Container, lena: User, worker: Worker, instead: Any, clock: Clock
) -> None:
    tries = []

    def steps(job: work.Job) -> work.Steps:
        tries.append(clock.now())
        yield from ()
        raise Conflict("busy")

    instead("start", steps)
    container = ask_and_wait(container, "start", worker, lena)
    assert container.status == Status.BOOTING
    assert container.problem == Conflict.sentence
    container = settle(container, worker, clock)
    # That it is tried again is not said any more.
    assert (container.status, container.problem) == (Status.STOPPED, concluding.Overdue.sentence)
    assert len(tries) == concluding.ATTEMPTS


def test_a_worker_that_dies_each_time_does_not_do_so_for_ever(
    container: Container, lena: User, worker: Worker, instead: Any, clock: Clock
) -> None:
    deaths = []

    def steps(job: work.Job) -> work.Steps:
        deaths.append(job.name)
        yield from ()
        raise Killed

    instead("start", steps)
    operations.request(container.pk, "start", by=lena)
    for _ in range(concluding.ATTEMPTS):
        with pytest.raises(Killed):
            worker.carry_out_all()
        clock.advance(31)
        operations.sweep()
    worker.carry_out_all()
    assert len(deaths) == concluding.ATTEMPTS
    assert fresh(container).status == Status.STOPPED


def test_a_bug_in_the_steps_leaves_nothing_stuck(
    container: Container, lena: User, worker: Worker, instead: Any, clock: Clock
) -> None:
    def steps(job: work.Job) -> work.Steps:
        yield from ()
        raise ZeroDivisionError("a bug")

    instead("start", steps)
    container = settle(ask_and_wait(container, "start", worker, lena), worker, clock)
    assert container.status == Status.STOPPED
    assert "ZeroDivisionError" in last_operation(container).error_detail


@pytest.mark.parametrize("action", ["start", "stop", "restart", "destroy", "migrate"])
def test_a_node_that_does_not_answer_is_waited_for_and_costs_no_try(
    action: str,
    lena: User,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    clock: Clock,
) -> None:
    status = Container.sources_of(action)[-1]
    container = ContainerFactory.create(customer=lena, status=status, node=node)
    broken(node, unplugged=True)
    container = ask_and_wait(container, action, worker, ada)
    for _ in range(concluding.ATTEMPTS + 2):
        clock.advance(3)
        operations.sweep()
        worker.carry_out_all()
    container = fresh(container)
    assert container.is_transient
    assert container.problem == Unreachable.sentence
    operation = last_operation(container)
    assert operation.is_open
    assert (operation.attempts, operation.held_until) == (0, None)

    broken(node)
    container = settle(container, worker, clock)
    assert (container.is_transient, container.problem) == (False, "")
    assert last_operation(container).outcome == "done"
