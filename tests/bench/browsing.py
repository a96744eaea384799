"""A crowd in a database of its own, looked at by a signed-in administrator."""

from __future__ import annotations

import gc
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from django.core.handlers.base import BaseHandler
from django.db import connections
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext, override_settings

from panel.models import User
from tests.bench import crowd

Ask = Callable[[], object]
# So many calls deep Python has used up a piece of 16 KB of its stack, and begins another.
FRAMES = 140


@contextmanager
def crowd_of(rows: int, folder: Path) -> Iterator[Browsing]:
    """The panel on a database with so many containers. In `BERTH_BENCH_DATA`, and on a
    PostgreSQL server that goes on running, it is there the next time."""
    usual = connections["default"]
    crowded = connections.create_connection("default")
    built = _choose(crowded, rows, Path(os.environ.get("BERTH_BENCH_DATA", folder)))
    connections["default"] = crowded
    try:
        if not built:
            crowd.build("default", rows)
        with override_settings(ROOT_URLCONF="tests.bench.urls"):
            yield Browsing(crowded)
    finally:
        crowded.close()
        connections["default"] = usual


def _choose(connection: Any, rows: int, folder: Path) -> bool:
    """Point a connection to the crowd's database; returns whether it is there already."""
    if connection.vendor == "sqlite":
        folder.mkdir(parents=True, exist_ok=True)
        name = str(folder / f"crowd-{rows}.sqlite3")
        built = Path(name).exists()
    else:
        name = f"berth_crowd_{rows}"
        with connection._nodb_cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if not (built := cursor.fetchone() is not None):
                cursor.execute(f"CREATE DATABASE {name}")
    connection.settings_dict = {**connection.settings_dict, "NAME": name}
    return built


class Browsing:
    """What Ada's browser asks for."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        client = Client()
        client.force_login(User.objects.get(username="ada"))
        self._requests = RequestFactory()
        self._requests.cookies = client.cookies
        # Not the test client, which keeps a copy of each template's context.
        self._panel = BaseHandler()
        self._panel.load_middleware()

    @property
    def cookie(self) -> str:
        """What her browser says to be known by."""
        return "; ".join(f"{name}={kept.value}" for name, kept in self._requests.cookies.items())

    def ask(self, address: str, **headers: str) -> Any:
        """The panel's answer."""
        connections["default"] = self._connection
        return self._panel.get_response(self._requests.get(address, headers=headers))

    def read(self, address: str) -> str:
        answer = self.ask(address)
        assert answer.status_code == 200, address
        return str(answer.content.decode())

    def visit(self, address: str) -> Ask:
        return lambda: self.read(address)

    def keys(self, address: str) -> list[str]:
        """The containers on a page of the list, from above."""
        return re.findall(r'<tr id="container-(\d+)"', self.read(address))

    def bare(self, address: str) -> Ask:
        """A visit to the bare view of the rows on a page of the list."""
        return self.visit(f"/bare/?keys={','.join(self.keys(address))}")

    def polled(self, address: str) -> str:
        """The address that the script on a page of the list asks again and again."""
        [again] = re.findall(r'data-poll hx-get="([^"]+)"', self.read(address))
        return str(again.replace("&amp;", "&"))

    def poll(self, address: str) -> Ask:
        """What the script on a page of the list asks for while nothing new happens."""
        again = self.polled(address)

        def ask() -> None:
            answer = self.ask(again, **{"HX-Request": "true"})
            assert (answer.status_code, answer.content) == (204, b"")

        return ask

    def queries(self, ask: Ask) -> int:
        connections["default"] = self._connection
        with CaptureQueriesContext(self._connection) as queries:
            ask()
        return len(queries)


def quickest(rounds: int, *asked: Ask) -> list[float]:
    """The shortest time that each takes (ms), all of them by turns: what else the machine does
    can only make them longer. SQLite works in this thread, whose own time is the better clock.

    Each round is at another depth of calls. Where a loop of a page goes to and fro over the end
    of a piece of Python's stack, which is chance, the page takes up to four times as long.
    """
    lite = connections["default"].vendor == "sqlite"
    clock = time.thread_time if lite else time.perf_counter
    best = [float("inf")] * len(asked)
    for ask in asked:
        ask()
    # What pytest keeps in memory is none of the panel's garbage.
    gc.collect()
    gc.freeze()
    for turn in range(rounds):
        for number, ask in enumerate(asked):
            taken = _deeper(FRAMES * turn // rounds, partial(_timed, ask, clock))
            best[number] = min(best[number], taken)
    gc.unfreeze()
    return best


def _deeper(calls: int, measure: Callable[[], float]) -> float:
    return _deeper(calls - 1, measure) if calls else measure()


def _timed(ask: Ask, clock: Callable[[], float]) -> float:
    begun = clock()
    ask()
    return (clock() - begun) * 1000
