"""Many write into one SQLite file: each is let in after about as long as the others."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Barrier
from typing import Any, Protocol

import pytest
from django.db import OperationalError
from django.db.backends.utils import CursorWrapper
from django.db.utils import ConnectionHandler

from panel import outage
from panel.sqlite import base

pytestmark = pytest.mark.django_db

WRITERS = 16
SECONDS = 2.0
WRITE = "INSERT INTO line VALUES (1)"


class Connect(Protocol):
    """A connection of its own to the test's file, and a cursor of it."""

    def __call__(
        self,
        engine: str = "panel.sqlite",
        *,
        timeout: float = 20.0,
        mode: str = "wal",
        access: str = "rwc",
    ) -> AbstractContextManager[CursorWrapper]: ...


@pytest.fixture
def connect(tmp_path: Path) -> Connect:
    @contextmanager
    def connect(
        engine: str = "panel.sqlite",
        *,
        timeout: float = 20.0,
        mode: str = "wal",
        access: str = "rwc",
    ) -> Any:
        # Nobody waits for the disk here.
        command = f"PRAGMA journal_mode={mode}; PRAGMA synchronous=OFF"
        options = {"timeout": timeout, "init_command": command}
        name = f"file:{tmp_path / 'lines.sqlite3'}?mode={access}"
        file = {"ENGINE": engine, "NAME": name, "CONN_MAX_AGE": None}
        connection = ConnectionHandler({"default": file | {"OPTIONS": options}})["default"]
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    with connect() as cursor:
        cursor.execute("CREATE TABLE line (number INTEGER)")
    return connect


def longest_wait(connect: Connect, engine: str) -> float:
    """Of some who write without a pause, the longest that one waited to begin, in seconds."""

    ready = Barrier(WRITERS)

    def write(_: int) -> float:
        longest = 0.0
        with connect(engine) as cursor:
            ready.wait()
            end = time.monotonic() + SECONDS
            while (began := time.monotonic()) < end:
                cursor.execute("BEGIN IMMEDIATE")
                longest = max(longest, time.monotonic() - began)
                for _ in range(30):
                    cursor.execute(WRITE)
                cursor.execute("COMMIT")
        return longest

    with ThreadPoolExecutor(WRITERS) as writers:
        return max(writers.map(write, range(WRITERS)))


@pytest.mark.alone
def test_nobody_starves_while_others_write(connect: Connect) -> None:
    starved = longest_wait(connect, "django.db.backends.sqlite3")
    # A machine that does something else for a moment lets anybody wait once, not each time.
    assert any(longest_wait(connect, "panel.sqlite") < starved / 2 for _ in range(3))


@pytest.fixture
def beside() -> Any:
    """Does something in another thread; returns what comes of it."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """After how many seconds it was found that another try is needed."""
    tried: list[float] = []

    def pause(waited: float) -> float:
        tried.append(waited)
        return base.LAST

    monkeypatch.setattr(base, "pause", pause)
    return tried


def wait_for(tries: list[float]) -> None:
    while not tries:
        time.sleep(base.LAST)


@pytest.mark.parametrize("statement", [WRITE, "BEGIN IMMEDIATE"])
def test_whoever_comes_while_another_writes_waits_for_it(
    statement: str,
    connect: Connect,
    beside: Callable[..., Future[None]],
    tries: list[float],
) -> None:
    def write() -> None:
        with connect() as cursor:
            cursor.execute(statement)

    with connect() as other:
        other.execute("BEGIN IMMEDIATE")
        written = beside(write)
        wait_for(tries)
        other.execute("COMMIT")
        written.result()


def test_a_database_that_stays_locked_is_told_from_a_mistake(
    connect: Connect, tries: list[float]
) -> None:
    with connect() as other, connect(timeout=0.02) as cursor:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError) as failure:
            cursor.execute(WRITE)
    assert tries
    assert "the database is busy" in outage.outage(failure.value)


def test_what_has_failed_keeps_no_file_open(connect: Connect, tmp_path: Path) -> None:
    with connect(timeout=0.02) as cursor:
        with connect() as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(OperationalError) as failure:
                cursor.db.cursor().execute(WRITE)
        assert (tmp_path / "lines.sqlite3-wal").exists()
    assert failure.value.__traceback__, "as a log or a debugger holds it"
    assert not (tmp_path / "lines.sqlite3-wal").exists(), "the last to close it takes it away"


def test_a_transaction_that_has_missed_a_change_is_not_tried_again(
    connect: Connect, tries: list[float]
) -> None:
    with connect() as other, connect() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT * FROM line").fetchall()
        other.execute(WRITE)
        with pytest.raises(OperationalError):
            cursor.execute(WRITE)
    assert not tries


def test_without_a_wal_sqlite_waits_itself(connect: Connect) -> None:
    with connect(mode="delete") as cursor:
        assert cursor.execute("PRAGMA busy_timeout").fetchone() == (20_000,)


def test_a_connection_is_kept_only_if_it_has_shown_that_it_can_write(connect: Connect) -> None:
    with connect() as other:
        with connect() as cursor:
            assert is_kept(cursor)
        other.execute("BEGIN IMMEDIATE")
        with connect() as cursor:
            assert not is_kept(cursor), "the next one may know"


def test_what_was_opened_where_nothing_can_be_written_is_not_kept(connect: Connect) -> None:
    with connect(), connect(access="ro") as cursor:
        assert not is_kept(cursor)


def is_kept(cursor: CursorWrapper) -> bool:
    """Whether its connection is there for the next request as well."""
    cursor.db.close_if_unusable_or_obsolete()
    return cursor.db.connection is not None
