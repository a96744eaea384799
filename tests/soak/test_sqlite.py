"""SQLite with web, worker and watcher writing at once: nobody is turned away, or waits for long."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from statistics import median
from uuid import uuid4

import pytest

from tests.incus_node import wait_until
from tests.soak.panel import Panel
from tests.soak.people import Browser, Experience

pytestmark = [pytest.mark.processes, pytest.mark.alone]

PEOPLE = 4
SECONDS = 4.0


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[Panel]:
    knobs = {"BERTH_WORKER_THREADS": "50", "BERTH_NODE_CONCURRENCY": "50", "BERTH_LEASE": "10"}
    panel = Panel(tmp_path / "data", knobs, ("-m", "tests.soak.fifty"))
    try:
        panel.start()
        yield panel
    finally:
        panel.stop()


def write(panel: Panel) -> list[float]:
    """People order without a pause for a while; how long each had to wait, in seconds."""

    def person(number: int) -> list[float]:
        browser = Browser(f"http://127.0.0.1:{panel.port}", "lena", Experience())
        browser.sign_in()
        form = browser.get("/orders/new/")
        plan, system = browser.choices(form, "plan"), browser.choices(form, "system")
        waited, end = [], time.monotonic() + SECONDS
        while time.monotonic() < end:
            began = time.monotonic()
            answer = browser.post(
                "/orders/new/", plan=plan[0], system=system[0], name=f"w-{uuid4().hex[:12]}"
            )
            waited.append(time.monotonic() - began)
            assert answer is not None, "turned away"
            assert answer.status_code == 302, answer.text
        return waited

    with ThreadPoolExecutor(PEOPLE) as people:
        return sorted(chain.from_iterable(people.map(person, range(PEOPLE))))


def test_people_write_while_fifty_operations_run(panel: Panel) -> None:
    alone = write(panel)
    rows = [row.pk for row in panel.browser.rows("?status=stopped")]
    panel.browser.post("/containers/act/", action="start", container=rows, confirmed="yes", name="")
    wait_until(lambda: len(panel.browser.rows("?status=booting")) == len(rows))
    beside = write(panel)
    still = len(panel.browser.rows("?status=booting"))
    for beside_what, times in (("nothing", alone), (f"{len(rows)} operations", beside)):
        figures = f"median {median(times):.3f} s, slowest {times[-1]:.3f} s"
        sys.stdout.write(f"\n{len(times)} orders beside {beside_what}: {figures}")
    assert still, "the operations were over before people were done"
    in_turn = (PEOPLE + len(rows)) * median(beside)
    assert beside[-1] < in_turn, "somebody waited longer than if all others had gone first"
    for process in panel.processes:
        assert panel.says(process, "locked") == 0
