"""The older, the coarser: minutes become hours and hours become days, and nothing is counted
twice or lost on the way."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from containers import usage
from containers.models import Container, Node, Span, UsageSample
from containers.statuses import Status
from containers.usage import thin
from tests.cast import ContainerFactory

MINUTE, HOUR, DAY = Span.MINUTE, Span.HOUR, Span.DAY
MIDNIGHT = datetime(2026, 3, 10, tzinfo=UTC)

pytestmark = pytest.mark.django_db


def at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    monkeypatch.setattr(timezone, "now", lambda: moment)


def put(subject: Container | Node, span: Span, begin: datetime, cpu: float, **fields: Any) -> None:
    """A sample, with everything else in proportion to the processor unless it is given."""
    owner = {"container" if isinstance(subject, Container) else "node": subject}
    UsageSample.objects.create(
        **{
            **owner,
            "span": span,
            "at": begin,
            "cpu": cpu,
            "memory_bytes": 1000 * cpu,
            "disk_bytes": 2000 * cpu,
            "received": 3 * cpu,
            "sent": 4 * cpu,
        }
        | fields
    )


def rows(span: Span, **of: Any) -> list[tuple[Any, ...]]:
    found = UsageSample.objects.filter(span=span, **of).order_by("at")
    return list(
        found.values_list("at", "minutes", "cpu", "memory_bytes", "disk_bytes", "received", "sent")
    )


def everything() -> list[Any]:
    return list(UsageSample.objects.order_by("pk").values())


@pytest.fixture
def minutes(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hours of a container and its node, a minute at a time, just over."""
    for minute in range(120):
        begin = MIDNIGHT + minute * MINUTE.length
        put(container, MINUTE, begin, float(minute % 60))
        assert container.node is not None
        put(container.node, MINUTE, begin, 1.0, disk_bytes=None)
    at(monkeypatch, MIDNIGHT + timedelta(hours=2, minutes=5))


def test_an_hour_is_the_average_of_its_minutes(container: Container, minutes: None) -> None:
    thin()
    hour = (60, 29.5, 29500, 59000, 88.5, 118.0)
    assert rows(HOUR, container=container) == [
        (MIDNIGHT, *hour),
        (MIDNIGHT + HOUR.length, *hour),
    ]
    assert [row[1:5] for row in rows(HOUR, node=container.node)] == 2 * [(60, 1.0, 1000, None)]
    assert UsageSample.objects.filter(span=MINUTE).count() == 240


def test_an_hour_of_which_only_its_first_minute_is_known_is_the_average_of_that(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    for measured in (MIDNIGHT, MIDNIGHT + HOUR.length):
        put(container, MINUTE, measured, 1.0)
    at(monkeypatch, MIDNIGHT + timedelta(hours=3))
    thin()
    assert [row[0] for row in rows(HOUR)] == [MIDNIGHT, MIDNIGHT + HOUR.length]


def test_an_hour_that_is_not_over_waits_for_its_end_and_for_latecomers(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(container, MINUTE, MIDNIGHT, 1.0)
    for passed, hours in ((59, 0), (61, 0), (62, 1)):
        at(monkeypatch, MIDNIGHT + timedelta(minutes=passed))
        thin()
        assert len(rows(HOUR)) == hours


def test_an_hour_that_was_measured_for_a_while_weighs_no_more_than_that_in_its_day(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(container, HOUR, MIDNIGHT, 1.0, minutes=60)
    put(container, HOUR, MIDNIGHT + HOUR.length, 4.0, minutes=20, disk_bytes=None)
    at(monkeypatch, MIDNIGHT + timedelta(days=1, minutes=5))
    thin()
    assert rows(DAY) == [(MIDNIGHT, 80, 1.75, 1750, 2000, 5.25, 7.0)]


def test_the_last_hour_of_a_day_is_in_its_day(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(container, MINUTE, MIDNIGHT - MINUTE.length, 2.0)
    at(monkeypatch, MIDNIGHT + timedelta(minutes=2))
    thin()
    assert [row[:3] for row in rows(DAY)] == [(MIDNIGHT - DAY.length, 1, 2.0)]


def test_what_is_older_than_it_is_kept_is_deleted_and_nothing_else(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "BATCH", 2)
    at(monkeypatch, MIDNIGHT)
    for span in Span:
        for late in range(-3, 4):
            put(container, span, MIDNIGHT - span.kept + late * span.length, 1.0)
    thin()
    for span in Span:
        left = [begin for begin, *_ in rows(span) if begin < MIDNIGHT - span.kept + 4 * span.length]
        assert left == [MIDNIGHT - span.kept + late * span.length for late in range(4)]
    # What was minutes and hours has become hours and days before it went.
    assert rows(HOUR, at__gte=MIDNIGHT - timedelta(days=2))
    assert rows(DAY, at__gte=MIDNIGHT - timedelta(days=40))


def test_doing_it_again_changes_nothing(minutes: None) -> None:
    thin()
    before = everything()
    thin()
    assert everything() == before


def test_an_hour_that_is_there_is_not_made_again(container: Container, minutes: None) -> None:
    put(container, HOUR, MIDNIGHT, 7.0)
    thin()
    assert [row[2] for row in rows(HOUR, container=container)] == [7.0, 29.5]


def test_hours_of_a_clock_that_was_ahead_do_not_stop_those_of_now(
    container: Container, minutes: None
) -> None:
    put(container, HOUR, MIDNIGHT + timedelta(hours=9), 5.0)
    thin()
    made = UsageSample.objects.filter(span=HOUR, container=container, at__lt=MIDNIGHT + DAY.length)
    assert list(made.order_by("at").values_list("at", flat=True)) == [
        MIDNIGHT,
        MIDNIGHT + HOUR.length,
        MIDNIGHT + timedelta(hours=9),
    ]


def test_whenever_it_is_killed_the_next_one_completes_it(
    node: Node, minutes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        other = ContainerFactory.create(node=node, status=Status.RUNNING, on_node=False)
        put(other, MINUTE, MIDNIGHT, 1.0)
        put(other, MINUTE, MIDNIGHT + HOUR.length, 1.0)
    monkeypatch.setattr(usage, "BATCH", 2)
    write = usage.write
    for survived in range(6):
        left = survived

        def dies(samples: Any) -> None:
            nonlocal left
            if not left:
                raise KeyboardInterrupt
            left -= 1
            write(samples)

        UsageSample.objects.exclude(span=MINUTE).delete()
        with monkeypatch.context() as dying:
            dying.setattr(usage, "write", dies)
            with pytest.raises(KeyboardInterrupt):
                thin()
        thin()
        assert UsageSample.objects.filter(span=HOUR).count() == 10
        assert set(UsageSample.objects.filter(span=HOUR, node=node).values_list("minutes")) == {
            (60,)
        }


def test_a_break_of_years_is_not_walked_through_hour_by_hour(
    container: Container,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    put(container, MINUTE, MIDNIGHT - timedelta(days=700), 1.0)
    put(container, MINUTE, MIDNIGHT, 1.0)
    at(monkeypatch, MIDNIGHT + timedelta(hours=2))
    with django_assert_max_num_queries(60):
        thin()
    assert len(rows(HOUR)) + len(rows(DAY)) == 2


def test_a_minute_in_which_nothing_is_due_asks_little(
    container: Container,
    minutes: None,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    thin()
    with django_assert_max_num_queries(12):
        thin()


@pytest.mark.django_db(transaction=True)
def test_two_at_once_make_every_hour_once(
    container: Container, minutes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "BATCH", 1)
    failed: list[Exception] = []

    def run() -> None:
        try:
            thin()
        except Exception as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failed
    assert [row[1] for row in rows(HOUR, container=container)] == [60, 60]
    assert UsageSample.objects.filter(span=HOUR).count() == 4
