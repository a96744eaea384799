"""The panel's processes as they ship, by the Procfile, and what they take of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from tests.bench.browsing import Browsing, crowd_of
from tests.bench.load import Answers, Question
from tests.containers.test_processes import database_url
from tests.incus_node import ROOT, wait_until
from tests.soak.panel import PATIENCE, Panel

LIST = "/containers/"
# Options of gunicorn to be tried instead of those that ship, like "--workers 4 --threads 4".
OTHERWISE = os.environ.get("BERTH_BENCH_GUNICORN", "")
TICK = os.sysconf("SC_CLK_TCK")


def procfile() -> dict[str, str]:
    """The command of each process, for a shell."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    return {name: command for name, _, command in (line.partition(": ") for line in lines)}


class Shipped(Panel):
    """Web, two workers and a watcher on a database of any kind: commands and knobs are those of
    production, but for what keeps people in a hurry away."""

    kinds: tuple[str, ...] = ("web", "worker", "worker", "watcher")

    def __init__(self, data: Path, url: str, **more: str) -> None:
        programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        knobs = {"BERTH_LEASE": "10", "BERTH_WATCH_EVERY": "5", "PATH": programs}
        super().__init__(data, {**knobs, "BERTH_DATABASE_URL": url, **more})

    def run_all(self) -> None:
        commands = procfile()
        commands["web"] += f" {OTHERWISE}"
        for name in self.kinds:
            number = sum(name in running for running in self.processes)
            self.run(f"{name} {number + 1}", "sh", "-c", commands[name])
        wait_until(lambda: self.page("/account/login/").status_code > 0, PATIENCE)

    def pids(self) -> dict[str, int]:
        """Every process by its name; those that gunicorn forks have its name and a letter."""
        known = {name: process.pid for name, process in self.processes.items()}
        forked = zip("abcdefgh", children(known["web 1"]), strict=False)
        return known | {f"web {letter}": pid for letter, pid in forked}


class Web(Shipped):
    """The pages alone, with the yardsticks beside them, on the database of the test's own
    connection: whoever has signed in there is signed in here."""

    kinds = ("web",)

    def __init__(self, data: Path) -> None:
        known = {"BERTH_SECRET_KEY": settings.SECRET_KEY}
        yardsticks = {"DJANGO_SETTINGS_MODULE": "tests.bench.settings"}
        super().__init__(data, database_url(), **known, **yardsticks)

    def start(self) -> None:
        collect = self._manage("collectstatic", "-v0", "--no-input")
        subprocess.run(collect, cwd=ROOT, env=self._environment, check=True)
        self.run_all()

    def questions(self, browsing: Browsing) -> dict[str, Question]:
        """The list and its poll with nothing new, each with its yardstick."""
        keys = ",".join(browsing.keys(LIST))
        known = f"Cookie: {browsing.cookie}"
        return {
            "list": Question(self.port, LIST, 200, (known,)),
            "bare view": Question(self.port, f"/bare/?keys={keys}", 200, (known,)),
            "poll": Question(self.port, browsing.polled(LIST), 204, (known, "HX-Request: true")),
            "bare 204": Question(self.port, "/nothing/", 204, (known,)),
        }

    def cores_while(self, asking: Callable[[], Answers]) -> tuple[Answers, list[float]]:
        """The answers, and how many cores each of gunicorn's processes took, the busiest first."""
        before = {pid: use_of(pid).cpu for pid in self.pids().values()}
        answers = asking()
        used = [use_of(pid).cpu - cpu for pid, cpu in before.items()]
        return answers, sorted((each / answers.passed for each in used), reverse=True)


@contextmanager
def pages_of(rows: int, folder: Path) -> Iterator[tuple[Web, Browsing]]:
    """A panel with so many containers behind gunicorn, and Ada's browser."""
    with crowd_of(rows, folder) as browsing:
        web = Web(folder / "data")
        try:
            web.start()
            yield web, browsing
        finally:
            web.stop()


@dataclass(frozen=True)
class Use:
    """What a process takes: seconds of `cpu` so far; memory in MiB now, all of it `resident`, and
    `proportional` with only a part of what it shares with others; `threads`."""

    cpu: float
    resident: float
    proportional: float
    threads: int


def use_of(pid: int) -> Use:
    folder = Path(f"/proc/{pid}")
    stat = (folder / "stat").read_text().rpartition(")")[2].split()
    kept = dict(
        line.split(":", 1)
        for line in (folder / "smaps_rollup").read_text().splitlines()
        if line.endswith("kB")
    )
    resident, proportional = (int(kept[name].split()[0]) / 1024 for name in ("Rss", "Pss"))
    return Use((int(stat[11]) + int(stat[12])) / TICK, resident, proportional, int(stat[17]))


def children(pid: int) -> list[int]:
    return sorted(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
