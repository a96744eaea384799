"""A crowd in a database of its own, looked at by a signed-in administrator."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.handlers.base import BaseHandler
from django.db import connections
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext, override_settings

from panel.models import User
from tests.bench import crowd

BACKEND = "django.contrib.auth.backends.ModelBackend"


@contextmanager
def crowd_of(rows: int, folder: Path) -> Iterator[Browsing]:
    """The panel with so many containers in place of its database. In `BERTH_BENCH_DATA`, and on
    a PostgreSQL server that goes on running, it is there the next time."""
    usual = connections["default"]
    crowded = connections.create_connection("default")
    existed = _choose(crowded, rows, Path(os.environ.get("BERTH_BENCH_DATA", folder)))
    connections["default"] = crowded
    try:
        if not existed:
            crowd.build("default", rows)
        with override_settings(ROOT_URLCONF="tests.bench.urls"):
            yield Browsing()
    finally:
        crowded.close()
        connections["default"] = usual


def _choose(connection: Any, rows: int, folder: Path) -> bool:
    """Point a connection to the crowd's database; returns whether there was one."""
    if connection.vendor == "sqlite":
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"crowd-{rows}.sqlite3"
        connection.settings_dict = {**connection.settings_dict, "NAME": str(file)}
        return file.exists()
    name = f"berth_crowd_{rows}"
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if not (existed := cursor.fetchone() is not None):
            cursor.execute(f"CREATE DATABASE {name}")
    connection.settings_dict = {**connection.settings_dict, "NAME": name}
    return existed


class Browsing:
    """What Ada's browser asks for, and how long the panel takes to answer."""

    def __init__(self) -> None:
        client = Client()
        client.force_login(User.objects.get(username="ada"), BACKEND)
        self.session = client.cookies
        self._requests = RequestFactory()
        self._requests.cookies = self.session
        # Not the test client, which keeps a copy of each template's context.
        self._panel = BaseHandler()
        self._panel.load_middleware()

    def ask(self, address: str, **headers: str) -> Any:
        return self._panel.get_response(self._requests.get(address, headers=headers))

    def get(self, address: str) -> str:
        answer = self.ask(address)
        assert answer.status_code == 200, address
        return str(answer.content.decode())

    def keys(self, address: str) -> list[str]:
        """The containers on a page of the list, from above."""
        return re.findall(r'<tr id="container-(\d+)"', self.get(address))

    def bare(self, address: str) -> str:
        """The address at which the bare view shows the rows of a page of the list."""
        return f"/bare/?keys={','.join(self.keys(address))}"

    def poll(self, address: str) -> Callable[[], None]:
        """What the script on a page of the list asks for, again and again, while nothing new
        happens."""
        [again] = re.findall(r'data-poll hx-get="([^"]+)"', self.get(address))

        def ask() -> None:
            answer = self.ask(again.replace("&amp;", "&"), **{"HX-Request": "true"})
            assert (answer.status_code, answer.content) == (204, b"")

        return ask

    def visit(self, address: str) -> Callable[[], object]:
        return lambda: self.get(address)

    def queries(self, ask: Callable[[], object]) -> int:
        with CaptureQueriesContext(connections["default"]) as queries:
            ask()
        return len(queries)


def quickest(rounds: int, *asked: Callable[[], object]) -> list[float]:
    """The shortest time that each takes (seconds), all of them by turns: what else the machine
    does can only make them longer."""
    best = [float("inf")] * len(asked)
    for ask in asked:
        ask()
    for _ in range(rounds):
        for number, ask in enumerate(asked):
            begun = time.perf_counter()
            ask()
            best[number] = min(best[number], time.perf_counter() - begun)
    return best
