"""Live and ready apart: a load balancer, and whoever starts processes anew, know what to do."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from huey.contrib.djhuey import HUEY
from pytest_django import Settings

from containers import operations
from containers.management.commands import watch
from containers.models import Beat
from containers.observe import Watcher
from panel import health
from tests.conftest import Clock

pytestmark = pytest.mark.django_db

ALL_WELL = {"database": "ok", "migrations": "ok", "queue": "ok", "watcher": "ok"}


@pytest.fixture(autouse=True)
def queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HUEY, "pending_count", lambda: 0)


@pytest.fixture
def watched() -> None:
    Beat.objects.sign("watcher")


def ready(client: Client) -> tuple[int, Any]:
    answer = client.get("/healthz/ready")
    return answer.status_code, answer.json()


def test_ready_while_everything_is_there(client: Client, watched: None) -> None:
    assert ready(client) == (200, ALL_WELL)


def test_not_ready_before_anybody_watches(client: Client) -> None:
    assert ready(client) == (503, ALL_WELL | {"watcher": "has not run yet"})


def test_not_ready_once_the_watcher_is_silent(client: Client, watched: None, clock: Clock) -> None:
    clock.advance(59)
    assert ready(client)[0] == 200
    clock.advance(2)
    status, told = ready(client)
    assert re.fullmatch(r"silent for 6\d s", told.pop("watcher"))
    assert (status, told | {"watcher": "ok"}) == (503, ALL_WELL)


def test_not_ready_before_the_database_is_migrated(client: Client, watched: None) -> None:
    MigrationRecorder(connection).record_unapplied(*max(health._newest_migrations()))
    status, told = ready(client)
    assert status == 503
    assert told["migrations"].startswith("not migrated: ")


def test_an_older_process_is_ready_on_a_newer_database(client: Client, watched: None) -> None:
    MigrationRecorder(connection).record_applied("panel", "9999_of_the_next_release")
    assert ready(client)[0] == 200


def test_not_ready_without_the_queue_and_the_reason_is_told_to_nobody_outside(
    client: Client, watched: None, caplog: pytest.LogCaptureFixture
) -> None:
    with patch.object(HUEY, "pending_count", side_effect=OSError("10.1.1.1 refuses")):
        assert ready(client) == (503, ALL_WELL | {"queue": "unreachable"})
    assert "OSError" in caplog.text


def test_without_its_database_it_is_live_and_not_ready(client: Client) -> None:
    with patch.object(connection, "cursor", side_effect=OperationalError("gone")):
        status, told = ready(client)
        assert client.get("/healthz/live").status_code == 200
    assert status == 503
    assert told["database"] == "unreachable"


def test_to_be_ready_costs_four_statements(
    client: Client, watched: None, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    ready(client)
    with django_assert_max_num_queries(4):
        ready(client)


def test_whoever_asks_from_near_by_is_not_sent_to_https(client: Client, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert client.get("/healthz/live").status_code == 200
    assert client.get("/account/login/").status_code == 301


@pytest.mark.django_db(transaction=True)
def test_a_watcher_gives_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    monkeypatch.setattr(watch, "BEAT", 0.0)
    monkeypatch.setattr(Watcher, "ask", lambda self: None)
    monkeypatch.setattr(operations, "sweep", stop.set)
    watch.watch(stop)
    assert health.watcher() == "ok"
