"""Django's backend for SQLite, in which no writer waits much longer than the others, and no
connection is kept that was opened while nothing could be written: it would stay read-only.

SQLite's own way to wait (sqliteDefaultBusyCallback in its main.c) tries more and more seldom, so
that newcomers overtake those who have waited long. Here, a writer tries the more often, the longer
it has waited.
"""

from __future__ import annotations

import random
import sqlite3
import time
from functools import partial
from math import exp2
from typing import Any

from django.db.backends.sqlite3 import base

# Seconds between two tries of a writer that has just come, and of one that has waited long; and the
# seconds of waiting in which they halve.
FIRST, LAST = 0.01, 0.001
HALF = 0.1


def pause(waited: float) -> float:
    """Seconds until the next try of a writer that has waited so many already. Random, so that those
    that came together do not try together."""
    return max(LAST, FIRST * exp2(-waited / HALF)) * random.uniform(0.5, 1)  # noqa: S311


class Cursor(base.SQLiteCursorWrapper):
    """Tries again what begins a transaction, or is one by itself, as long as others write.

    `executemany` is tried once: outside of a transaction each of its rows is one by itself.
    """

    def __init__(self, connection: sqlite3.Connection, *, timeout: float) -> None:
        super().__init__(connection)
        self._timeout = timeout

    def execute(self, *statement: Any) -> Cursor:
        """Raises OperationalError where the database is locked for longer than `timeout`."""
        began = time.monotonic()
        while True:
            try:
                super().execute(*statement)
            except sqlite3.OperationalError as error:
                waited = time.monotonic() - began
                if not self._may_try_again(error) or waited >= self._timeout:
                    # Python 3.11 leaves the statement with the cursor, and the traceback keeps
                    # that: the file would stay open, however often the connection is closed.
                    self.close()
                    raise
                time.sleep(pause(waited))
            else:
                return self

    def _may_try_again(self, error: sqlite3.OperationalError) -> bool:
        """In a transaction it would see what others have changed since: SQLite refuses for good."""
        busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
        return busy and not self.connection.in_transaction


class DatabaseWrapper(base.DatabaseWrapper):
    """Takes the options of Django's own; `timeout` is how long a writer waits, in seconds."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> sqlite3.Connection:
        connection: sqlite3.Connection = super().get_new_connection(conn_params)
        # Without a WAL a COMMIT may have to wait as well, for those who read; SQLite does it then.
        if connection.execute("PRAGMA journal_mode").fetchone() == ("wal",):
            connection.execute("PRAGMA busy_timeout = 0")
            # All of a process share the index of the WAL, which stays read-only as long as one of
            # them is open that found it so (https://www.sqlite.org/walformat.html).
            if not _can_write(connection):
                self.close_at = 0.0
        return connection

    def create_cursor(self, name: str | None = None) -> Cursor:
        timeout = self.settings_dict["OPTIONS"].get("timeout", 5.0)
        cursor: Cursor = self.connection.cursor(factory=partial(Cursor, timeout=timeout))
        return cursor


def _can_write(connection: sqlite3.Connection) -> bool:
    """Whether it can for sure; while others are writing, that is not known."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        # Where the file alone is read-only, SQLite makes do with reading until it has to write.
        connection.execute("PRAGMA user_version = 0")
    except sqlite3.OperationalError:
        return False
    finally:
        connection.rollback()
    return True
