"""A clock that was ahead for a while, and is set right: what was written meanwhile keeps nobody
waiting."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from containers import operations, tally
from containers.drivers import Conflict
from containers.models import Container, Node
from containers.operations import work
from containers.operations.claiming import claim, renew_if_due
from containers.operations.outcomes import LeaseLost
from containers.statuses import Status
from panel.models import User
from tests.cast import ContainerFactory
from tests.conftest import Clock, Worker
from tests.containers.acts import ask_and_wait, broken, fresh, last_operation

pytestmark = pytest.mark.django_db

AHEAD = timedelta(days=1)


def minutes_pass(count: int, clock: Clock, worker: Worker) -> None:
    for _ in range(count):
        clock.advance(60)
        operations.sweep()
        worker.carry_out_all()


@pytest.mark.parametrize("dies", [True, False])
def test_what_was_asked_for_then_is_done_and_holds_up_no_other(
    dies: bool,
    container: Container,
    node: Node,
    ada: User,
    worker: Worker,
    clock: Clock,
    settings: Any,
) -> None:
    """Its worker has died, or its wake-up was lost."""
    settings.NODE_CONCURRENCY = 1
    other = ContainerFactory.create(node=node, status=Status.STOPPED)
    clock.advance(by=AHEAD)
    asked = operations.request(container.pk, "start", by=ada)
    assert asked is not None
    assert not dies or claim(asked.pk)
    worker.lose_everything()
    clock.advance(by=-AHEAD)
    ask_and_wait(other, "start", worker, ada)
    minutes_pass(2, clock, worker)
    assert (fresh(container).status, fresh(other).status) == (Status.RUNNING, Status.RUNNING)
    begun = last_operation(container).started_at
    assert begun is not None
    assert begun <= clock.now()


def test_what_was_let_go_of_then_is_tried_again(
    container: Container, ada: User, worker: Worker, clock: Clock, instead: Any
) -> None:
    real = work.STEPS["start"]

    def busy(job: work.Job) -> work.Steps:
        yield from ()
        raise Conflict("busy")

    instead("start", busy)
    clock.advance(by=AHEAD)
    ask_and_wait(container, "start", worker, ada)
    clock.advance(by=-AHEAD)
    instead("start", real)
    minutes_pass(2, clock, worker)
    assert fresh(container).status == Status.RUNNING


def test_what_failed_to_be_created_then_is_tried_again(
    node: Node, ada: User, worker: Worker, clock: Clock
) -> None:
    ordered = ContainerFactory.create(status=Status.ORDERED)
    broken(node, failing=True)
    clock.advance(by=AHEAD)
    ask_and_wait(ordered, "create", worker, ada)
    clock.advance(by=-AHEAD)
    broken(node)
    minutes_pass(2, clock, worker)
    assert fresh(ordered).status == Status.STOPPED


def test_a_lease_that_lies_too_far_ahead_is_renewed_before_somebody_else_has_it(
    container: Container, ada: User, clock: Clock
) -> None:
    asked = operations.request(container.pk, "start", by=ada)
    assert asked is not None
    clock.advance(by=AHEAD)
    held = claim(asked.pk)
    assert held is not None
    clock.advance(by=-AHEAD)
    renew_if_due(held)
    assert claim(asked.pk) is None
    clock.advance(by=-AHEAD)
    assert claim(asked.pk)
    with pytest.raises(LeaseLost):
        renew_if_due(held)


def test_what_was_counted_then_is_counted_anew(
    container: Container, ada: User, worker: Worker, clock: Clock
) -> None:
    ask_and_wait(container, "start", worker, ada)
    clock.advance(by=AHEAD)
    tally.fold()
    clock.advance(by=-AHEAD)
    ask_and_wait(container, "stop", worker, ada)
    for _ in range(3):
        clock.advance(60)
        tally.fold()
    ended = {key: counted["count"] for key, counted in tally.operations_ended().items()}
    assert ended == {("start", "done"): 1, ("stop", "done"): 1}
