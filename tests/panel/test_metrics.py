"""What Prometheus is told is true, only grows where it should, and is for nobody else."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any
from unittest.mock import patch

import pytest
from django.test import Client
from huey.contrib.djhuey import HUEY
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from containers import tally
from containers.models import Beat, Container, Node, Tally
from containers.observe import Watcher
from containers.statuses import Status
from orders.models import Payment
from panel.models import User
from tests.cast import ContainerFactory, OrderFactory
from tests.conftest import Clock, Worker
from tests.containers.acts import ask_and_wait, broken, look

pytestmark = pytest.mark.django_db

TOKEN = "sesame-opens"
Samples = dict[tuple[str, ...], float]


@pytest.fixture(autouse=True)
def token(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.METRICS_TOKEN = TOKEN
    monkeypatch.setattr(HUEY, "pending_count", lambda: 3)


def told() -> Samples:
    """Every sample, by its name and the values of its labels in their order."""
    answer = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.content.decode())
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def ended(kind: str, outcome: str = "done") -> tuple[float, float, float]:
    """How many ended within a minute, within an hour, and at all."""
    samples = told()
    name = "berth_operation_seconds"
    return (
        samples.get((f"{name}_bucket", kind, "60.0", outcome), 0),
        samples.get((f"{name}_bucket", kind, "3600.0", outcome), 0),
        samples.get((f"{name}_count", kind, outcome), 0),
    )


# --- for whom --------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, "é"])
def test_without_the_token_nothing_is_told(client: Client, given: str) -> None:
    answer = client.get("/metrics", headers={"Authorization": given})
    assert (answer.status_code, answer.content) == (401, b"")


def test_without_a_token_in_the_settings_there_is_nothing(
    as_ada: Client, settings: Settings
) -> None:
    settings.METRICS_TOKEN = ""
    for browser in (as_ada, Client(headers={"Authorization": "Bearer "})):
        assert browser.get("/metrics").status_code == 404


# --- what ------------------------------------------------------------------------------------


def test_containers_are_counted_by_status(lena: User, node: Node) -> None:
    for status in (Status.RUNNING, Status.RUNNING, Status.STOPPED):
        ContainerFactory.create(customer=lena, node=node, status=status, on_node=False)
    samples = told()
    assert samples["berth_containers", "running"] == 2
    assert samples["berth_containers", "stopped"] == 1
    assert samples["berth_containers", "migrating"] == 0


def test_work_that_goes_on_and_work_that_waits_are_told_apart(
    container: Container, ada: User, clock: Clock, worker: Worker
) -> None:
    from containers import operations

    operations.request(container.pk, "start", by=ada)
    clock.advance(40)
    samples = told()
    assert samples["berth_operations_open", "held"] == 0
    assert samples["berth_operations_open", "waiting"] == 1
    assert 40 <= samples["berth_operation_due_seconds",] < 50
    assert 40 <= samples["berth_oldest_transient_seconds",] < 50
    worker.carry_out_all()
    samples = told()
    assert samples["berth_operation_due_seconds",] == 0
    assert samples["berth_oldest_transient_seconds",] == 0


def test_work_on_a_node_that_is_away_does_not_wait_for_a_worker(
    container: Container, node: Node, ada: User, clock: Clock
) -> None:
    from containers import operations

    operations.request(container.pk, "start", by=ada)
    Node.objects.update(online=False)
    clock.advance(600)
    assert told()["berth_operation_due_seconds",] == 0


def test_work_on_a_node_that_has_its_hands_full_does_not_wait_for_a_worker(
    container: Container, node: Node, lena: User, ada: User, clock: Clock, settings: Settings
) -> None:
    from containers import operations
    from containers.operations.claiming import claim

    settings.NODE_CONCURRENCY = 1
    other = ContainerFactory.create(customer=lena, node=node, status=Status.STOPPED)
    first, _ = [operations.request(each.pk, "start", by=ada) for each in (container, other)]
    clock.advance(600)
    assert told()["berth_operation_due_seconds",] >= 600, "nobody works"
    assert first
    assert claim(first.pk)
    assert told()["berth_operation_due_seconds",] == 0
    clock.advance(60)
    assert told()["berth_operation_due_seconds",] >= 660, "the worker has died"


def test_operations_are_counted_by_kind_outcome_and_duration(
    container: Container, ada: User, worker: Worker
) -> None:
    ask_and_wait(container, "start", worker, ada)
    assert ended("start") == (1, 1, 1)
    assert ended("start", "failed") == (0, 0, 0)
    broken(container.node, failing=True)  # type: ignore[arg-type]
    ask_and_wait(container, "stop", worker, ada)
    assert ended("stop", "failed")[2] == 1


def test_what_was_counted_into_the_tally_is_counted_once(
    container: Container, ada: User, worker: Worker, clock: Clock
) -> None:
    ask_and_wait(container, "start", worker, ada)
    for _ in range(3):
        tally.fold()
        assert ended("start") == (1, 1, 1)
        clock.advance(45)
    ask_and_wait(container, "restart", worker, ada)
    for _ in range(3):
        assert (ended("start"), ended("restart")) == ((1, 1, 1), (1, 1, 1))
        clock.advance(45)
        tally.fold()
    kept = {(kind, outcome): counted for kind, outcome, counted in Tally.objects.get().counts}
    assert kept["start", "done"]["count"] == 1


def test_two_that_count_at_once_count_once(
    container: Container, ada: User, worker: Worker, clock: Clock, monkeypatch: Any
) -> None:
    ask_and_wait(container, "start", worker, ada)
    clock.advance(90)
    really, others = tally._count, [tally.fold]

    def meanwhile(rows: Any) -> Any:
        counted = really(rows)
        if others:
            others.pop()()
        return counted

    monkeypatch.setattr(tally, "_count", meanwhile)
    tally.fold()
    assert ended("start") == (1, 1, 1)


def test_two_whose_clocks_differ_count_once(
    container: Container, ada: User, worker: Worker, clock: Clock
) -> None:
    tally.fold()
    ask_and_wait(container, "start", worker, ada)
    clock.advance(90)
    tally.fold()
    clock.advance(-60)
    tally.fold()
    clock.advance(120)
    tally.fold()
    assert ended("start") == (1, 1, 1)


def test_nodes_say_whether_they_answer_and_how_fast(node: Node, other_node: Node) -> None:
    broken(other_node, unplugged=True)
    look(Watcher(), times=3)
    samples = told()
    assert samples["berth_node_up", "node-a"] == 1
    assert samples["berth_node_up", "node-b"] == 0
    assert samples["berth_node_latency_seconds", "node-a"] >= 0
    assert ("berth_node_latency_seconds", "node-b") not in samples


def test_a_latency_that_hardly_differs_is_not_written_down(node: Node) -> None:
    Node.objects.update(latency_ms=5)
    look(Watcher())
    assert Node.objects.get().latency_ms == 5
    Node.objects.update(latency_ms=900)
    look(Watcher())
    assert Node.objects.get().latency_ms != 900


def test_how_many_live_on_a_node_is_told(lena: User, node: Node, other_node: Node) -> None:
    for status in (Status.RUNNING, Status.OFFLINE, Status.DESTROYED):
        ContainerFactory.create(customer=lena, node=node, status=status, on_node=False)
    samples = told()
    assert samples["berth_node_containers", "node-a"] == 2
    assert samples["berth_node_containers", "node-b"] == 0


def test_every_kind_and_outcome_is_told_before_the_first_has_ended(node: Node) -> None:
    samples = told()
    for kind in ("create", "start", "stop", "restart", "migrate", "destroy"):
        for outcome in ("done", "failed"):
            assert samples["berth_operation_seconds_count", kind, outcome] == 0


def test_the_watchers_silence_is_told(clock: Clock) -> None:
    Beat.objects.sign("watcher")
    clock.advance(75)
    assert 75 <= told()["berth_watcher_silent_seconds",] < 80


def test_a_watcher_that_never_ran_is_no_watcher_that_has_just_spoken() -> None:
    assert told()["berth_watcher_silent_seconds",] == inf


def test_what_was_paid_and_given_up_is_told(lena: User) -> None:
    OrderFactory.create(customer=lena, status="paid")
    assert told()["berth_orders_paid_not_created",] == 1


def test_money_that_somebody_has_to_give_back_is_told(lena: User) -> None:
    order = OrderFactory.create(customer=lena, status="fulfilled")
    for surplus in (False, True):
        Payment.objects.begin(order, "dummy", status="confirmed", is_surplus=surplus)
    assert told()["berth_payments_to_give_back",] == 1


def test_a_queue_that_is_gone_is_told_and_hides_nothing_else() -> None:
    assert (told()["berth_queue_length",], told()["berth_queue_up",]) == (3, 1)
    with patch.object(HUEY, "pending_count", side_effect=OSError):
        samples = told()
    assert samples["berth_queue_up",] == 0
    assert ("berth_containers", "running") in samples


def test_it_costs_the_same_however_much_there_is(
    lena: User,
    node: Node,
    ada: User,
    worker: Worker,
    django_assert_max_num_queries: Callable[[int], Any],
) -> None:
    for _ in range(4):
        container = ContainerFactory.create(customer=lena, node=node)
        ask_and_wait(container, "start", worker, ada)
    with django_assert_max_num_queries(11):
        told()
