"""A worker on nodes that do everything at once and nothing in truth: only the way there counts.

    python -m tests.bench.engine.worker MARKS          the panel's own worker
    python -m tests.bench.engine.worker MARKS --bare   Huey alone, as it comes, on the same server

Both write a line into the file MARKS as a task reaches its work: a name, and the seconds of the
machine's monotonic clock. The panel's also carries out bare tasks, on the panel's queue.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

import django

from containers.drivers import Instance, Power, Progress

THREADS = 16


class NoOp:
    """The part of the driver protocol that starting and stopping take."""

    def __init__(self, mark: int) -> None:
        self._mark = mark
        self._running: dict[str, bool] = {}

    def start(self, name: str) -> Iterator[Progress]:
        os.write(self._mark, f"{name} {time.monotonic()}\n".encode())
        self._running[name] = True
        yield from ()

    def stop(self, name: str, *, force: bool = False) -> Iterator[Progress]:
        os.write(self._mark, f"{name} {time.monotonic()}\n".encode())
        self._running[name] = False
        yield from ()

    def instance(self, name: str) -> Instance:
        return Instance(name, Power.RUNNING if self._running.get(name) else Power.STOPPED)


def main(marks: str, *, bare: bool) -> None:
    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from huey.contrib.djhuey import HUEY

    from containers.operations import carrying
    from tests.bench.engine import queues

    mark = os.open(marks, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    if bare:
        huey = queues.stock(settings.QUEUE_URL)
        queues.task_of(huey, mark)
        huey.create_consumer(workers=THREADS, **queues.POLLING).run()
    else:
        driver = NoOp(mark)
        setattr(carrying, "connect", lambda node: driver)  # noqa: B010
        queues.task_of(HUEY, mark)
        call_command("run_huey")


if __name__ == "__main__":
    main(sys.argv[1], bare="--bare" in sys.argv)
