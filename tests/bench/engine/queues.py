"""The yardstick: Huey alone, with a task that notes the time and does nothing else."""

from __future__ import annotations

import os
import time
from typing import Any

from huey import Huey, PostgresHuey, RedisHuey, SqliteHuey

# How often a worker of Huey's asks SQLite, which cannot wake it: sixteen threads ask more often
# than fifty times a second together. The servers wake it by themselves.
POLLING = {"initial_delay": 0.05, "backoff": 1.1, "max_delay": 0.5, "periodic": False}


def stock(address: str) -> Huey:
    """Huey as it comes, on the same server as the panel's queue, under another name."""
    options: dict[str, Any] = {"results": False}
    if address.startswith("redis"):
        return RedisHuey("bare", url=address, **options)
    if address.startswith("postgres"):
        return PostgresHuey("bare", dsn=address, table_prefix="bare", **options)
    return SqliteHuey("bare", filename=f"{address.removeprefix('sqlite:///')}.bare", **options)


def task_of(huey: Huey, mark: int | None = None) -> Any:
    """`task(name)` puts the bare task into a queue; its worker writes name and time to `mark`."""

    def bare(name: object) -> None:
        assert mark is not None
        os.write(mark, f"{name} {time.monotonic()}\n".encode())

    return huey.task(name="bare")(bare)
