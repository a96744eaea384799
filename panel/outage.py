"""Outages of the database and the disk, told from mistakes in the code, and logged once each."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Iterator

from django.db import DatabaseError, InterfaceError, OperationalError, connections

# What a file system says when it takes nothing more, or nothing at all.
_DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk is full",
    errno.EROFS: "the disk is read-only",
}
# The same in the codes of SQLite (https://www.sqlite.org/rescode.html) and PostgreSQL (SQLSTATE).
_CODES = {
    "SQLITE_FULL": "the disk of the database is full",
    "SQLITE_IOERR_SHMSIZE": "the disk of the database is full",
    "SQLITE_READONLY": "the database is read-only",
    "SQLITE_BUSY": "the database is busy",
    "53100": "the disk of the database is full",
    "25006": "the database is read-only",
    "42P01": "the database has no tables: run manage.py migrate",
}


def outage(error: BaseException) -> str:
    """What is missing, in a few words for the log; "" where the error is no outage, but a mistake
    in the panel."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in _DISK:
            return _DISK[cause.errno]
        # SQLite tells its variants apart behind a second underscore.
        code = getattr(cause, "sqlite_errorname", "") or getattr(cause, "sqlstate", "") or ""
        for known, words in _CODES.items():
            if code == known or code.startswith(f"{known}_"):
                return f"{words} ({_line(cause)})"
    if isinstance(error, OperationalError | InterfaceError):
        if "no such table" in str(error):
            return f"{_CODES['42P01']} ({_line(error)})"
        return f"the database cannot be used ({_line(error)})"
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def close_connections() -> None:
    """Close this thread's connections after a failure: one to a server that is gone, or to a file
    that could only be read, fails once more."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


class OutageLog:
    """Writes one line into the log when an outage begins, and one when it is over: when nothing has
    failed for `calm` seconds, since on a full disk reading goes on."""

    def __init__(self, logger: logging.Logger, consequence: str, *, calm: float = 0.0) -> None:
        self._logger, self._consequence, self._calm = logger, consequence, calm
        self._said, self._missed_at = "", 0.0
        self._lock = threading.Lock()

    def report(self, error: BaseException) -> bool:
        """Log the error if it is an outage that was not logged yet; whether it is an outage."""
        words = outage(error)
        with self._lock:
            if words and not self._said:
                self._logger.error("%s; %s", words, self._consequence)
            self._said = self._said or words
            self._missed_at = time.monotonic()
        if isinstance(error, DatabaseError | InterfaceError):
            close_connections()
        return bool(words)

    def recovered(self) -> None:
        """To be called whenever something has worked that an outage would have stopped."""
        if not self._said:
            return
        with self._lock:
            # Another thread may have said so meanwhile.
            if not self._said or time.monotonic() - self._missed_at < self._calm:
                return
            self._logger.warning("it is back: %s", self._said.partition(" (")[0])
            self._said = ""
