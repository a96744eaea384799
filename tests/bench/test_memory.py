"""What each process of the panel keeps in memory under steady work, on PostgreSQL.

    BERTH_BENCH_MINUTES=60 pytest tests/bench/test_memory.py -m bench -s     a whole hour

A line a minute goes to the standard output, so that one broken off has not been for nothing.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.conftest import Figures
from tests.bench.shipped import Shipped, Use, use_of
from tests.soak.database import Database
from tests.soak.people import Browser, Experience

pytestmark = [pytest.mark.bench, pytest.mark.processes]

MINUTES = int(os.environ.get("BERTH_BENCH_MINUTES", "10"))
SHOWN = [minute for minute in (2, 10, 30) if minute < MINUTES] + [MINUTES]
# Seconds from one step of a person to the next, and after a round of steps: long enough for
# gunicorn to close the connection, so that no process of the web is left out. It comes to about a
# third of a core in all.
PAUSE, REST = 0.1, 3.0
PEOPLE = ("admin", "lena", "omar") * 2
PLACES = ("/", "/nodes/", "/orders/", "/activity/", "/containers/?q=web", "/containers/?sort=node")

# Times as large as after the first minutes: what is kept for ever would soon be more.
GENEROUS = 1.5

Sample = dict[str, Use]


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[Shipped]:
    database = Database()
    panel = Shipped(tmp_path / "data", database.url, BERTH_QUEUE_URL=database.url)
    try:
        database.start()
        panel.start()
        yield panel
    finally:
        panel.stop()
        database.destroy()


class Visitor(threading.Thread):
    """Somebody who looks, waits for news, opens a container and presses a button, at a walk."""

    def __init__(self, browser: Browser, stop: threading.Event, seed: int) -> None:
        super().__init__(daemon=True)
        self._browser, self._stopped = browser, stop
        self._dice = random.Random(seed)

    def run(self) -> None:
        self._browser.sign_in()
        steps = self._steps()
        while not self._stopped.wait(self._dice.uniform(0, 2 * PAUSE)):
            next(steps)

    def _steps(self) -> Iterator[None]:
        while True:
            self._stopped.wait(REST)
            page = self._browser.get("/containers/")
            for _ in range(10):
                yield
                self._browser.poll(page)
            yield
            self._browser.get(self._dice.choice(PLACES))
            yield
            rows = self._browser.rows()
            yield
            if usable := [row for row in rows if {"start", "stop"} & set(row.buttons)]:
                row = self._dice.choice(usable)
                self._browser.get(f"/containers/{row.pk}/")
                yield
                action = "start" if "start" in row.buttons else "stop"
                address = f"/containers/{row.pk}/act/"
                self._browser.post(address, action=action, confirmed="yes", name=row.name)
                yield


def test_steady_work_leaves_the_processes_as_large_as_they_were(
    panel: Shipped, figures: Figures
) -> None:
    stop, experience = threading.Event(), Experience()
    address = f"http://127.0.0.1:{panel.port}"
    people = [
        Visitor(Browser(address, person, experience), stop, seed)
        for seed, person in enumerate(PEOPLE)
    ]
    began, own = time.monotonic(), time.process_time()
    first = sample(panel)
    for person in people:
        person.start()
    samples: list[Sample] = []
    for minute in range(1, MINUTES + 1):
        time.sleep(max(0.0, began + 60 * minute - time.monotonic()))
        samples.append(sample(panel))
        sizes = (f"{name} {shown(use)}" for name, use in samples[-1].items())
        sys.stdout.write(f"minute {minute}, MiB: {', '.join(sizes)}\n")
        sys.stdout.flush()
    passed, own = time.monotonic() - began, time.process_time() - own
    stop.set()
    for person in people:
        person.join(30)
    last = samples[-1]
    figures(
        f"Memory of each process over {MINUTES} minutes of work, MiB resident (with its part of "
        "what is shared)",
        ["process", *(f"minute {minute}" for minute in SHOWN), "growth since the first", "cores"],
        [
            [
                name,
                *(shown(samples[minute - 1][name]) for minute in SHOWN),
                f"{last[name].resident - samples[SHOWN[0] - 1][name].resident:+.1f}",
                (last[name].cpu - first[name].cpu) / passed,
            ]
            for name in last
        ],
        f"{sum(experience.answers.values())} requests ({len(experience.errors)} errors), "
        f"{sum(use.cpu - first[name].cpu for name, use in last.items()) / passed:.2f} cores in "
        f"all; who asked took {own / passed:.2f}",
    )
    assert not experience.errors
    assert last.keys() == first.keys(), "a process was started anew"
    for name, use in samples[SHOWN[0] - 1].items():
        assert last[name].resident <= GENEROUS * use.resident, name


def sample(panel: Shipped) -> Sample:
    return {name: use_of(pid) for name, pid in panel.pids().items()}


def shown(use: Use) -> str:
    return f"{use.resident:.1f} ({use.proportional:.1f})"
