"""The queue of wake-ups: Huey's, made to wake a worker at once on every kind of server.

Nothing is kept in it but wake-ups that may get lost: the row of the Operation is the truth.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from huey import Huey
from huey.storage import BaseStorage, PostgresStorage, RedisStorage, SqliteStorage

logger = logging.getLogger(__name__)

# Seconds that one look at the queue waits for something to come.
WAIT = 1.0
# A number that PostgreSQL knows a lock by.
_MAKING_TABLES = 7230491
# Seconds that a server of the queue may take to answer: a click waits for it.
PATIENCE = 3


class _OneWaits(BaseStorage):
    """One thread of a process waits for the queue at a time: a wake-up does not rouse the others,
    and a server that does not answer is reported once, and once more when it is back."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._turn = threading.Lock()
        self._missing = False
        super().__init__(*args, **kwargs)

    def dequeue(self) -> bytes | None:
        if not self._turn.acquire(timeout=WAIT):
            return None
        try:
            data = self._await()
        except Exception as error:  # each kind of server has its own
            if not self._missing:
                logger.error("the queue does not answer: %s", error)
            self._missing = True
            time.sleep(WAIT)
            return None
        finally:
            self._turn.release()
        if self._missing:
            logger.warning("the queue answers again")
            self._missing = False
        return data

    def _await(self) -> bytes | None:
        """The next wake-up, if one comes within `WAIT`."""
        data: bytes | None = super().dequeue()
        return data

    def peek_many(self, keys: object) -> dict[str, bytes]:
        """Asked before each task whether it was revoked; none ever is."""
        return {}

    def read_schedule(self, ts: object) -> list[bytes]:
        """Asked every second for what is to be done later; nothing ever is."""
        return []

    def delete_data(self, key: object) -> bool:
        """Asked after each task to forget that it was revoked."""
        return False


class _Pipe:
    """A named pipe: each letter in it wakes one of those who wait, in whatever process."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._reader: int | None = None

    def ring(self) -> None:
        """Wake one of those who wait. Where nobody does, or all are awake, nothing happens."""
        with suppress(OSError):
            writer = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.write(writer, b".")
            finally:
                os.close(writer)

    def wait(self, seconds: float) -> None:
        """Return when somebody rings, or after so long."""
        if self._reader is None:
            with suppress(FileExistsError):
                os.mkfifo(self._path, 0o600)
            # For writing as well, or it would be at its end whenever no other process has it open.
            self._reader = os.open(self._path, os.O_RDWR | os.O_NONBLOCK)
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        if poll.poll(seconds * 1000):
            with suppress(BlockingIOError):  # another process was faster
                os.read(self._reader, 1)


class SqliteWakeUps(_OneWaits, SqliteStorage):
    """SQLite tells nobody of a new row; a pipe beside the file does."""

    blocking = True
    _conn: Any

    def __init__(self, name: str, filename: str, **kwargs: Any) -> None:
        self._pipe = _Pipe(f"{filename}.pipe")
        # The panel starts where the file cannot be made, too.
        super().__init__(name, filename, create_tables=False, **kwargs)

    def _create_connection(self) -> Any:
        connection = super()._create_connection()
        # The last wake-ups may be lost with the power, the file may not.
        connection.execute("pragma synchronous=normal")
        for statement in self.ddl:
            connection.execute(statement)
        self._opened = self._file()
        return connection

    @property
    def conn(self) -> Any:
        """Opened anew where the file was deleted or replaced: other processes use the new one."""
        if self._conn is not None and self._file() != self._opened:
            self._conn.close()
            self._conn = None
        return super().conn

    def _file(self) -> tuple[int, int] | None:
        """Which file there is under the name of the queue, if any."""
        with suppress(FileNotFoundError):
            found = Path(self.filename).stat()
            return found.st_dev, found.st_ino
        return None

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        super().enqueue(data, priority)
        self._pipe.ring()

    def _await(self) -> bytes | None:
        data = super()._await()
        if data is None:
            self._pipe.wait(WAIT)
            data = super()._await()
        return data


class PostgresWakeUps(_OneWaits, PostgresStorage):
    """LISTEN and NOTIFY; a connection that was lost is noticed and opened again. The tables are
    made on the first connection: a panel can be started before its queue."""

    def __init__(self, name: str, dsn: str) -> None:
        self._has_tables = False
        super().__init__(
            name,
            dsn,
            create_tables=False,
            read_timeout=WAIT,
            connect_timeout=PATIENCE,
            tcp_user_timeout=PATIENCE * 1000,
            # No wake-up is worth waiting for a disk.
            options="-c synchronous_commit=off",
        )
        # One thread listens at a time: Huey would open a connection for each of them.
        self._listen_local = SimpleNamespace()

    def _create_connection(self) -> Any:
        connection = super()._create_connection()
        if not self._has_tables:
            with connection.transaction():
                # IF NOT EXISTS alone fails where another process makes them just now.
                connection.execute(f"SELECT pg_advisory_xact_lock({_MAKING_TABLES})")
                for statement in self.ddl:
                    connection.execute(statement)
            self._has_tables = True
        return connection

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        was_connected = self._conn is not None
        try:
            super().enqueue(data, priority)
        except Exception:
            if not was_connected:
                raise
            # The server was started anew since the last time.
            super().enqueue(data, priority)


class RedisWakeUps(_OneWaits, RedisStorage):
    """BRPOP; a connection that was lost is opened again by redis-py."""

    def __init__(self, name: str, url: str) -> None:
        from redis import ConnectionPool
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        pool = ConnectionPool.from_url(
            url,
            socket_connect_timeout=PATIENCE,
            socket_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 1),
        )
        super().__init__(name, read_timeout=WAIT, connection_pool=pool)


SqliteQueue = partial(Huey, storage_class=SqliteWakeUps)
PostgresQueue = partial(Huey, storage_class=PostgresWakeUps)
RedisQueue = partial(Huey, storage_class=RedisWakeUps)
