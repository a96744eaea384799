"""The watcher's process: looks at every node, and sweeps up what got lost, until it is stopped.

Beside that, in a thread of its own, it measures what is used and looks after the database.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import close_old_connections, connections

from containers import operations, tally
from containers.models import Beat
from containers.models.beat import WATCHER
from containers.observe import Watcher
from containers.rejoining import wait_for_database
from containers.usage import Sampler, thin
from panel.outage import OutageLog
from panel.sessions import forget_expired
from panel.sqlite.statistics import analyze

logger = logging.getLogger(__name__)
CONSEQUENCE = "the watcher goes on as soon as it is back"
# By then every step has been taken again.
_outage = OutageLog(logger, CONSEQUENCE, calm=settings.WATCH_EVERY + 2)

# Seconds between two sweeps, and the longest that a signal to stop goes unheard.
BEAT = 1.0
# Seconds between two signs of life, by which others see that somebody watches.
SIGN_EVERY = 10.0
MINUTE = 60.0
HOUR = 3600.0


class Command(BaseCommand):
    help = "Ask every node what is true, take up work that got lost, measure usage, until stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        wait_for_database()
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        logger.info("looking at every node each %g s", settings.WATCH_EVERY)
        threading.Thread(target=measure, args=[stop], name="measure", daemon=True).start()
        watch(stop)
        connections.close_all()
        logging.shutdown()
        # Leaving in the usual way would wait for every node that owes an answer.
        os._exit(0)


def watch(stop: threading.Event) -> None:
    """Look and sweep until `stop` is set. What goes wrong is logged, and tried again."""
    watcher = Watcher()
    next_look = next_sign = time.monotonic()
    while not stop.is_set():
        beat = time.monotonic()
        if beat >= next_look:
            next_look = beat + settings.WATCH_EVERY
            _surviving(watcher.ask)
        if beat >= next_sign:
            next_sign = beat + SIGN_EVERY
            _surviving(lambda: Beat.objects.sign(WATCHER))
        _surviving(watcher.ask_out_of_turn)
        _surviving(lambda: watcher.collect(seconds=BEAT))
        _surviving(operations.sweep)
        # collect() is back early where no node owes an answer.
        stop.wait(beat + BEAT - time.monotonic())


def measure(stop: threading.Event) -> None:
    """Measure usage, and count what has ended, every minute until `stop` is set. In the
    first of them, and once an hour, have SQLite look through its indexes, and forget sessions
    that have expired."""
    sampler = Sampler()
    next_hour = time.monotonic()
    while not stop.wait(MINUTE - time.time() % MINUTE):
        _surviving(sampler.sample)
        _surviving(thin)
        _surviving(tally.fold)
        if time.monotonic() >= next_hour:
            next_hour = time.monotonic() + HOUR
            _surviving(forget_expired)
            _surviving(analyze)


def _surviving(step: Callable[[], None]) -> None:
    """Do it, whatever comes of it: nobody would notice a watcher that has died. An outage is
    logged when it begins and when it is over, not at every beat."""
    try:
        # As Django does before a request: none is kept for longer than the settings say.
        close_old_connections()
        step()
    except Exception as error:
        if not _outage.report(error):
            logger.exception("the watcher goes on")
    else:
        _outage.recovered()
