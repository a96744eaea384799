"""SQLite knows its indexes, and so reads a long list by the right one."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest
from django.db import connection
from django.utils import timezone
from huey.contrib.djhuey import HUEY

from containers import operations
from containers.management.commands import watch
from containers.models import Container
from containers.observe import Watcher
from containers.statuses import Status
from containers.tasks import carry_out_soon
from panel.models import User
from panel.sqlite import statistics
from panel.sqlite.statistics import analyze
from tests.cast import UserFactory

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL does so by itself"),
]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """After each of nearly a hundred indexes."""
    monkeypatch.setattr(statistics, "PAUSE", 0)


def known() -> set[str]:
    """The indexes of containers of which SQLite knows what is in them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_schema WHERE name = 'sqlite_stat1'")
        if not cursor.fetchall():
            return set()
        cursor.execute("SELECT idx FROM sqlite_stat1 WHERE tbl = 'containers_container'")
        return {name for [name] in cursor.fetchall()}


def test_afterwards_every_index_with_rows_is_known(container: Container) -> None:
    Container.objects.update(missing=True, create_again_at=timezone.now())
    assert known() == set()
    analyze()
    assert known() >= {index.name for index in Container._meta.indexes}
    analyze()


def test_after_each_index_whoever_waits_to_write_is_let_in(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_by_then: list[set[str]] = []
    monkeypatch.setattr(statistics, "sleep", lambda _: known_by_then.append(known()))
    analyze()
    grown = [len(now - before) for before, now in pairwise(known_by_then)]
    assert max(grown) == 1


def test_many_of_one_status_are_read_in_the_order_of_their_customers(ada: User) -> None:
    """Without it SQLite takes all that are in the status, and sorts them."""
    people = [UserFactory.create() for _ in range(10)]
    Container.objects.bulk_create(
        Container(
            customer=people[number % 10], name=f"web-{number}", status=Status.RUNNING, cpus=1,
            memory_mb=512, disk_gb=10,
        )
        for number in range(1000)
    )  # fmt: skip
    found = Container.objects.visible_to(ada).filter(status=Status.RUNNING)
    page = found.order_by("customer__last_name", "-pk").values("pk")[:50]
    assert "by_customer" not in page.explain()
    analyze()
    assert "by_customer" in page.explain()


@pytest.mark.django_db(transaction=True)
def test_a_worker_connects_anew_once_a_connection_has_served_its_time() -> None:
    connection.ensure_connection()
    HUEY.execute(carry_out_soon.s(0))
    assert connection.connection
    connection.close_at = 0.0
    HUEY.execute(carry_out_soon.s(0))
    assert connection.connection is None


@pytest.mark.django_db(transaction=True)
def test_a_watcher_connects_anew_once_a_connection_has_served_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop = threading.Event()
    monkeypatch.setattr(Watcher, "ask", lambda self: None)
    monkeypatch.setattr(operations, "sweep", stop.set)
    connection.ensure_connection()
    old = connection.connection
    connection.close_at = 0.0
    watch.watch(stop)
    assert connection.connection is not old
