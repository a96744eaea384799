"""What is used is measured every minute: what is written is what the nodes said, and only that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf, nan
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from containers import usage
from containers.connect import simulated
from containers.drivers import Unreachable, Usage
from containers.drivers.simulated import Faults
from containers.management.commands import watch
from containers.models import Container, Node, Span, UsageSample
from containers.statuses import Status
from containers.usage import Sampler
from panel.models import User
from tests.cast import ContainerFactory

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
# What a node says of itself that cannot tell its counters.
ITSELF = Usage(None, 9000, None, None, None)


class Time:
    """Stands still, half a second after a full minute, until it is told to pass."""

    def __init__(self) -> None:
        self.at = NOON + timedelta(seconds=0.5)

    def now(self) -> datetime:
        return self.at

    def passes(self, by: timedelta = MINUTE) -> None:
        self.at += by


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr(timezone, "now", clock.now)
    return clock


class Told:
    """What each node says, by its name. One that says nothing does not answer."""

    def __init__(self) -> None:
        self.by_node: dict[str, dict[str, Usage]] = {}
        self.asked: list[str] = []
        self.hold = threading.Event()
        self.hanging = ""

    def connect(self, node: Node) -> Any:
        told = self

        class Driver:
            def usage(self) -> dict[str, Usage]:
                told.asked.append(node.name)
                if node.name == told.hanging:
                    told.hold.wait(10)
                if node.name not in told.by_node:
                    raise Unreachable(f"{node.name}: no route to host")
                return dict(told.by_node[node.name])

        return Driver()

    def says(self, container: Container, *counted: float, node: Usage = ITSELF) -> None:
        """Its processor time, memory, disk, and bytes received and sent so far."""
        assert container.node is not None
        its = self.by_node.setdefault(container.node.name, {"": node})
        its[container.instance_name] = Usage(*counted)  # type: ignore[arg-type]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    told = Told()
    monkeypatch.setattr(usage, "connect", told.connect)
    yield told
    told.hold.set()


@pytest.fixture
def sampler() -> Sampler:
    return Sampler()


@pytest.fixture
def running(lena: User, node: Node) -> Container:
    return ContainerFactory.create(customer=lena, node=node, status=Status.RUNNING, on_node=False)


def values(found: Iterable[UsageSample]) -> list[tuple[object, ...]]:
    return [
        (row.at, row.minutes, row.cpu, row.memory_bytes, row.disk_bytes, row.received, row.sent)
        for row in found
    ]


# --- rates -----------------------------------------------------------------------------------


def test_what_was_used_in_a_minute_is_the_difference_of_two_readings(
    running: Container, told: Told, sampler: Sampler, clock: Time
) -> None:
    told.says(running, 100.0, 5000, 800, 1000, 2000)
    sampler.sample()
    assert not UsageSample.objects.exists()
    clock.passes()
    told.says(running, 130.0, 6000, 900, 1600, 8000)
    sampler.sample()
    assert values(running.usage.all()) == [(NOON, 1, 0.5, 6000, 900, 10.0, 100.0)]
    assert running.usage.get().span == Span.MINUTE


def test_a_processor_that_went_backwards_began_again_at_nothing(
    running: Container, told: Told, sampler: Sampler, clock: Time
) -> None:
    told.says(running, 1000.0, 5000, 800, 1_000_000, 10)
    sampler.sample()
    clock.passes()
    # It has sent more since it was booted than it had before: it was booted all the same.
    told.says(running, 6.0, 5000, 800, 600, 1200)
    sampler.sample()
    assert values(running.usage.all()) == [(NOON, 1, 0.1, 5000, 800, 10.0, 20.0)]


def test_a_network_card_that_was_taken_out_is_no_boot(
    running: Container, told: Told, sampler: Sampler, clock: Time
) -> None:
    told.says(running, 864_000.0, 5000, 800, 10_000_000_000, 5_000_000_000)
    sampler.sample()
    clock.passes()
    told.says(running, 864_030.0, 5000, 800, 9_000_000_000, 5_000_000_600)
    sampler.sample()
    assert values(running.usage.all()) == [(NOON, 1, 0.5, 5000, 800, 0.0, 10.0)]


def test_what_has_just_begun_to_run_is_measured_from_its_first_whole_minute_on(
    running: Container, told: Told, sampler: Sampler, clock: Time
) -> None:
    assert running.node is not None
    told.by_node[running.node.name] = {"": ITSELF}
    sampler.sample()
    clock.passes()
    told.says(running, 30.0, 5000, None, 0, 0)  # type: ignore[arg-type]
    sampler.sample()
    assert not running.usage.exists()
    assert running.node.usage.exists()
    clock.passes()
    sampler.sample()
    assert values(running.usage.all()) == [(NOON + MINUTE, 1, 0.0, 5000, None, 0.0, 0.0)]


def test_a_node_that_cannot_tell_its_own_rates_uses_what_all_on_it_use(
    lena: User, running: Container, told: Told, sampler: Sampler, clock: Time
) -> None:
    node = running.node
    assert node is not None
    other = ContainerFactory.create(customer=lena, node=node, status=Status.RUNNING, on_node=False)
    for cpu in (0.0, 30.0):
        told.says(running, cpu, 5000, 800, 10 * cpu, 20 * cpu)
        told.says(other, 2 * cpu, 5000, 800, 0, 2 * cpu)
        sampler.sample()
        clock.passes()
    assert values(node.usage.all()) == [(NOON, 1, 1.5, 9000, None, 5.0, 11.0)]


def test_a_node_that_can_is_believed(
    running: Container, told: Told, sampler: Sampler, clock: Time
) -> None:
    node = running.node
    assert node is not None
    for cpu in (0.0, 30.0):
        told.by_node.clear()
        told.says(running, cpu, 5000, 800, 0, 0, node=Usage(3 * cpu, 9000, 70, 0, 60))
        sampler.sample()
        clock.passes()
    assert values(node.usage.all()) == [(NOON, 1, 1.5, 9000, 70, 0.0, 0.0)]


def test_what_is_not_known_to_be_on_a_node_is_not_written(
    running: Container, other_node: Node, told: Told, sampler: Sampler, clock: Time
) -> None:
    elsewhere = ContainerFactory.create(node=other_node, status=Status.RUNNING, on_node=False)
    missing = ContainerFactory.create(
        node=running.node, status=Status.OFFLINE, missing=True, on_node=False
    )
    told.says(running, 0.0, 5000, 800, 0, 0)
    its = told.by_node["node-a"]
    others = elsewhere.instance_name, missing.instance_name, "ct-999999", "ct-x", "web"
    its |= dict.fromkeys(others, its[running.instance_name])
    told.by_node["node-b"] = {"": ITSELF}
    for _ in range(2):
        sampler.sample()
        clock.passes()
    assert UsageSample.objects.filter(container=None).count() == 2
    assert UsageSample.objects.exclude(container=None).get().container == running


# --- nodes that do not answer ----------------------------------------------------------------


def test_a_node_that_is_off_line_is_not_asked(
    running: Container, told: Told, sampler: Sampler, clock: Time
) -> None:
    told.says(running, 0.0, 5000, 800, 0, 0)
    Node.objects.update(online=False)
    for _ in range(2):
        sampler.sample()
        clock.passes()
    assert told.asked == []
    assert not UsageSample.objects.exists()


def test_an_answer_that_is_missing_leaves_a_gap_and_no_average_across_it(
    running: Container, told: Told, sampler: Sampler, clock: Time
) -> None:
    told.says(running, 0.0, 5000, 800, 0, 0)
    sampler.sample()
    silent = told.by_node.pop("node-a")
    for _ in range(4):
        clock.passes()
        sampler.sample()
    told.by_node["node-a"] = silent
    told.says(running, 60.0, 5000, 800, 0, 0)
    clock.passes()
    sampler.sample()
    assert not UsageSample.objects.exists()
    told.says(running, 120.0, 5000, 800, 0, 0)
    clock.passes()
    sampler.sample()
    assert [row[:3] for row in values(running.usage.all())] == [(NOON + 5 * MINUTE, 1, 1.0)]


@pytest.mark.parametrize("passed", [timedelta(0), timedelta(minutes=-2)])
def test_where_the_clock_was_set_back_nothing_is_known_of_the_minute(
    running: Container, told: Told, sampler: Sampler, clock: Time, passed: timedelta
) -> None:
    for cpu in (0.0, 60.0):
        told.says(running, cpu, 5000, 800, 0, 0)
        sampler.sample()
        clock.passes(passed)
    assert not UsageSample.objects.exists()


@pytest.mark.parametrize(
    "odd",
    [*({"memory_bytes": odd} for odd in (2**64, -(2**64), inf, nan, 2**62)),
     {"cpu_seconds": inf}, {"received_bytes": nan}],
)  # fmt: skip
def test_a_node_that_says_what_cannot_be_costs_no_other_its_samples(
    running: Container,
    other_node: Node,
    told: Told,
    sampler: Sampler,
    clock: Time,
    odd: dict[str, Any],
) -> None:
    told.says(running, 0.0, 5000, 800, 0, 0)
    told.by_node["node-b"] = {"": replace(ITSELF, **odd)}
    for _ in range(3):
        sampler.sample()
        clock.passes()
    clock.passes(timedelta(hours=2))
    usage.thin()
    assert running.usage.filter(span=Span.HOUR).count() == 1
    assert not other_node.usage.exists()


def test_a_node_that_keeps_everybody_waiting_holds_up_no_other(
    running: Container,
    other_node: Node,
    told: Told,
    sampler: Sampler,
    clock: Time,
    settings: Any,
) -> None:
    settings.NODE_TIMEOUT = 0.1
    told.says(running, 0.0, 5000, 800, 0, 0)
    told.by_node["node-b"] = {"": ITSELF}
    told.hanging = "node-b"
    for _ in range(3):
        sampler.sample()
        clock.passes()
    assert running.usage.count() == 2
    assert told.asked.count("node-b") == 1
    assert not other_node.usage.exists()
    # Its answer comes after all, and then it is asked again.
    told.hanging = ""
    told.hold.set()
    sampler.sample()
    clock.passes()
    sampler.sample()
    assert told.asked.count("node-b") == 2


def test_a_driver_that_breaks_is_logged_and_harms_no_other(
    running: Container,
    other_node: Node,
    told: Told,
    sampler: Sampler,
    clock: Time,
    caplog: pytest.LogCaptureFixture,
) -> None:
    told.says(running, 0.0, 5000, 800, 0, 0)
    told.by_node["node-b"] = None  # type: ignore[assignment]
    for _ in range(2):
        sampler.sample()
        clock.passes()
    assert running.usage.count() == 1
    assert "node node-b" in caplog.text


# --- writing ---------------------------------------------------------------------------------


def test_two_who_measure_write_each_minute_once(
    running: Container, told: Told, clock: Time
) -> None:
    told.says(running, 0.0, 5000, 800, 0, 0)
    watchers = [Sampler(), Sampler()]
    for _ in range(3):
        for sampler in watchers:
            sampler.sample()
        clock.passes()
    assert running.usage.count() == 2
    assert UsageSample.objects.count() == 4


def test_a_minute_of_many_containers_takes_few_statements(
    lena: User,
    node: Node,
    other_node: Node,
    told: Told,
    sampler: Sampler,
    clock: Time,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(40):
        told.says(
            ContainerFactory.create(
                customer=lena,
                node=(node, other_node)[number % 2],
                status=Status.RUNNING,
                on_node=False,
            ),
            0.0, 5000, 800, 0, 0,
        )  # fmt: skip
    sampler.sample()
    clock.passes()
    with CaptureQueriesContext(connection) as queries:
        sampler.sample()
    assert UsageSample.objects.count() == 42
    assert len([q for q in queries if "INSERT" in q["sql"]]) == 1
    assert len(queries) <= 5


def test_a_sample_is_of_a_container_or_of_a_node_and_never_of_both(container: Container) -> None:
    fields = {
        "span": Span.MINUTE,
        "at": NOON,
        "cpu": 0,
        "memory_bytes": 0,
        "received": 0,
        "sent": 0,
    }
    for subjects in ({}, {"container": container, "node": container.node}):
        with pytest.raises(IntegrityError), transaction.atomic():
            UsageSample.objects.create(**fields, **subjects)


# --- the watcher -----------------------------------------------------------------------------


def test_what_runs_on_a_simulated_node_is_measured(
    lena: User, node: Node, sampler: Sampler, clock: Time
) -> None:
    running = ContainerFactory.create(customer=lena, node=node, status=Status.RUNNING)
    stopped = ContainerFactory.create(customer=lena, node=node, status=Status.STOPPED)
    for _ in range(2):
        sampler.sample()
        clock.passes()
    said = simulated(node).usage()
    stored = running.usage.get().disk_bytes
    assert stored == pytest.approx(said[running.instance_name].disk_bytes)
    assert not stopped.usage.exists()
    simulated(node).set_faults(Faults(unplugged=True))
    sampler.sample()
    assert UsageSample.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_every_minute_the_watcher_measures_and_thins_out_whatever_goes_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop, done = threading.Event(), []

    def step(name: str, error: Exception) -> Callable[..., None]:
        def fails(*_: object) -> None:
            done.append(name)
            if len(done) == 6:
                stop.set()
            raise error

        return fails

    monkeypatch.setattr(watch, "MINUTE", 0.01)
    monkeypatch.setattr(Sampler, "sample", step("sample", DatabaseError("locked")))
    monkeypatch.setattr(watch, "thin", step("thin", ValueError("nobody knows why")))
    monkeypatch.setattr(watch, "forget_expired", step("forget", DatabaseError("locked")))
    monkeypatch.setattr(watch, "analyze", step("analyze", DatabaseError("locked")))
    watch.measure(stop)
    assert done == ["sample", "thin", "forget", "analyze", "sample", "thin"]
