"""Without a database, or with a full disk, people get a clear page and the log a clear line."""

from __future__ import annotations

import errno
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import InterfaceError, OperationalError, ProgrammingError, connection
from django.test import Client

from containers import operations
from containers.models import Container
from containers.operations.carrying import carry_out_soon
from panel.models import User
from panel.outage import OutageLog, outage
from tests.conftest import Worker
from tests.containers.acts import fresh


@contextmanager
def no_database() -> Iterator[None]:
    def refuse(*_: Any) -> None:
        raise OperationalError("connection refused\nIs the server running?")

    with connection.execute_wrapper(refuse):
        yield


@pytest.fixture
def browser(as_lena: Client) -> Client:
    as_lena.raise_request_exception = False
    return as_lena


@pytest.mark.django_db
def test_a_page_says_that_it_is_for_a_moment_and_is_tried_again(
    browser: Client, container: Container
) -> None:
    with no_database():
        page = browser.get(f"/containers/{container.pk}/?tab=usage")
    assert page.status_code == 503
    assert page["Retry-After"] == "10"
    text = page.content.decode()
    assert "Out of order for a moment" in text
    assert f'href="/containers/{container.pk}/?tab=usage"' in text
    assert 'http-equiv="refresh"' in text
    assert browser.get("/").status_code == 200, "it is over"


@pytest.mark.django_db
def test_what_was_sent_is_not_sent_again_by_itself(browser: Client, container: Container) -> None:
    with no_database():
        page = browser.post(f"/containers/{container.pk}/act/", {"action": "start"})
    assert page.status_code == 503
    text = page.content.decode()
    assert "look before you send it again" in text
    assert "http-equiv" not in text


@pytest.mark.django_db
def test_a_poll_gets_a_word_instead_of_a_page(browser: Client) -> None:
    with no_database():
        answer = browser.get("/containers/", headers={"HX-Request": "true"})
    assert (answer.status_code, len(answer.content) < 100) == (503, True)


@pytest.mark.django_db
def test_the_log_says_it_in_one_line(browser: Client, caplog: pytest.LogCaptureFixture) -> None:
    with no_database():
        browser.get("/orders/")
    [line] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert line.getMessage() == (
        "503 GET /orders/: the database cannot be used (connection refused)"
    )
    assert line.exc_info is None


@pytest.mark.django_db
def test_a_mistake_of_ours_stays_a_500_with_its_traceback(
    browser: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(User, "sees_everything", property(lambda user: 1 / 0))
    assert browser.get("/").status_code == 500
    assert any(record.exc_info for record in caplog.records)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no server to be started anew")
def test_a_wake_up_is_heard_over_a_connection_that_died_meanwhile(
    container: Container, lena: User
) -> None:
    operation = operations.request(container.pk, "start", by=lena)
    assert operation is not None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    other.close()
    carry_out_soon.call_local(operation.pk)
    assert fresh(container).status == "running"


@pytest.mark.django_db
def test_a_worker_without_a_database_leaves_the_row_as_it_is(
    container: Container, lena: User, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    operation = operations.request(container.pk, "start", by=lena)
    assert operation is not None
    with no_database():
        carry_out_soon.call_local(operation.pk)
        carry_out_soon.call_local(operation.pk)
    assert fresh(container).operation == operation
    worker.carry_out_all()
    assert fresh(container).status == "running"
    said = [
        record.getMessage()
        for record in caplog.records
        if "carrying" in record.name and record.levelno >= logging.WARNING
    ]
    assert [words.partition(" (")[0] for words in said] == [
        "the database cannot be used",
        "it is back: the database cannot be used",
    ]


def sqlite_error(name: str) -> OperationalError:
    cause = sqlite3.OperationalError("disk I/O error")
    cause.sqlite_errorname = name
    error = OperationalError(str(cause))
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system"), "the disk is read-only"),
        (sqlite_error("SQLITE_FULL"), "the disk of the database is full (disk I/O error)"),
        (sqlite_error("SQLITE_IOERR_SHMSIZE"), "the disk of the database is full (disk I/O error)"),
        (
            sqlite_error("SQLITE_READONLY_DBMOVED"),
            "the database is read-only (disk I/O error)",
        ),
        (InterfaceError("connection already closed"), "the database cannot be used"),
        (OperationalError("no such table: panel_user"), "the database has no tables"),
        (ProgrammingError("syntax error"), ""),
        (FileNotFoundError(errno.ENOENT, "No such file"), ""),
        (ValueError("ours"), ""),
    ],
)
def test_an_outage_is_told_from_a_mistake(error: Exception, words: str) -> None:
    said = outage(error)
    assert said.startswith(words)
    assert bool(said) is bool(words)


def test_a_table_that_postgresql_does_not_have_is_an_outage() -> None:
    error = ProgrammingError("no such relation")
    error.__cause__ = psycopg.errors.UndefinedTable("no such relation")
    assert "manage.py migrate" in outage(error)


def test_an_outage_is_complained_about_once(caplog: pytest.LogCaptureFixture) -> None:
    log = OutageLog(logging.getLogger("panel"), "it goes on")
    for _ in range(3):
        assert log.report(OSError(errno.ENOSPC, "No space left on device"))
    log.recovered()
    log.recovered()
    assert not log.report(ValueError("ours"))
    assert caplog.messages == ["the disk is full; it goes on", "it is back: the disk is full"]
