"""The watcher: asks every node what is true, and wakes the worker for what lies unattended."""

from __future__ import annotations

import logging
import signal
import threading
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, close_old_connections

from containers import operations
from containers.observe import Watcher

logger = logging.getLogger(__name__)

# Seconds between two sweeps: a dead worker's Operation waits no longer than its lease and this.
SWEEP_EVERY = 1.0


class Command(BaseCommand):
    help = "Watch every node, and see to it that no work is forgotten. Runs until it is stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        watch(stop)


def watch(stop: threading.Event) -> None:
    """Look and sweep until `stop` is set. No failure ends it: the next beat tries again."""
    watcher = Watcher()
    next_look = time.monotonic()
    while not stop.is_set():
        began = time.monotonic()
        try:
            if began >= next_look:
                next_look = began + settings.WATCH_EVERY
                watcher.ask()
            watcher.collect(seconds=SWEEP_EVERY / 2)
            operations.sweep()
        except DatabaseError as error:
            logger.error("the database does not answer: %s", error)
            close_old_connections()
        except Exception:
            logger.exception("a beat of the watcher failed")
        stop.wait(max(0.0, began + SWEEP_EVERY - time.monotonic()))
