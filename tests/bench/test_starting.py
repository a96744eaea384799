"""How long `make run` takes to the first page, beside what Django alone needs to come up.

What it needs is installed already; the rest is as for whoever types it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx
import pytest

from tests.bench.conftest import Figures
from tests.incus_node import ROOT, free_port

pytestmark = [pytest.mark.bench, pytest.mark.processes]

ROUNDS = 5
# The installed requirements count as up to date, whenever this file was checked out.
RUN = ("make", "--silent", "--assume-old=.venv/requirements.stamp", "run")
DJANGO = (sys.executable, "-c", "import django; django.setup()")
# It imports Django in four processes, migrates, and makes a demo of three dozen containers.
GENEROUS = 40.0
PATIENCE = 120.0


def test_make_run_is_there_soon(tmp_path: Path, figures: Figures) -> None:
    took: dict[str, list[float]] = defaultdict(list)
    for number in range(ROUNDS):
        data = tmp_path / str(number)
        took["Django alone"].append(timed(DJANGO, data))
        for state in ("nothing is stored yet", "the demo is there"):
            with running(data) as seconds:
                took[f"make run, {state}"].append(seconds)
    middle = {what: median(times) for what, times in took.items()}
    figures(
        "From the command to the first page",
        ["", "seconds, median", "quickest", "slowest", "times Django alone"],
        [
            [what, middle[what], min(times), max(times), middle[what] / middle["Django alone"]]
            for what, times in took.items()
        ],
        f"{ROUNDS} times each, by turns",
    )
    assert max(middle.values()) <= GENEROUS * middle["Django alone"]


def timed(command: tuple[str, ...], data: Path) -> float:
    began = time.monotonic()
    subprocess.run(command, cwd=ROOT, env=surroundings(data, 0), check=True)
    return time.monotonic() - began


@contextmanager
def running(data: Path) -> Iterator[float]:
    """`make run` in a folder of its own: seconds until it showed somebody the sign-in page."""
    port = free_port()
    began = time.monotonic()
    with (
        data.with_suffix(".log").open("ab") as log,
        subprocess.Popen(
            RUN, cwd=ROOT, env=surroundings(data, port), stdout=log, stderr=log,
            start_new_session=True,
        ) as make,
    ):  # fmt: skip
        try:
            while not shows_a_page(port):
                assert make.poll() is None, "it ended by itself"
                assert time.monotonic() < began + PATIENCE, "it does not come"
                time.sleep(0.02)
            yield time.monotonic() - began
        finally:
            # As Ctrl-C does.
            os.killpg(make.pid, signal.SIGINT)


def shows_a_page(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/account/login/", timeout=30).is_success
    except httpx.TransportError:
        return False


def surroundings(data: Path, port: int) -> dict[str, str]:
    plain = {name: text for name, text in os.environ.items() if name[:6] != "BERTH_"}
    knobs = {"BERTH_DATA": str(data), "BERTH_PORT": str(port)}
    return plain | knobs | {"DJANGO_SETTINGS_MODULE": "panel.settings"}
