"""A hundred real containers through the panel, beside a hundred through Incus' own client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.test import Client
from huey.contrib.djhuey import HUEY
from huey.storage import SqliteStorage

from containers.models import Container, Node
from panel.models import User
from tests.bench.conftest import Figures
from tests.cast import ContainerFactory
from tests.containers.test_processes import Panel
from tests.incus_node import IMAGE, PROJECT, IncusNode, daemons, wait_until

pytestmark = [
    pytest.mark.incus,
    pytest.mark.processes,
    pytest.mark.django_db(transaction=True),
]

PHASES = {"create": "stopped", "start": "running", "stop": "stopped", "destroy": "destroyed"}
MEMORY_MB = 64
# Seconds after which a phase counts as stuck.
PATIENCE = 300.0
# In a short form a single wait of the queue weighs as much as a container: it shows that all
# works, and that nothing takes a multiple of its time. The long form shows the ratio.
GENEROUS = 4.0

Seconds = dict[str, float]


@pytest.fixture
def server() -> Iterator[IncusNode]:
    with daemons(1) as [found]:
        found.prepare()
        yield found


@pytest.fixture
def node(server: IncusNode, settings: Any, tmp_path: Path, transactional_db: None) -> Node:
    """The server as a node of the panel, over HTTPS with a restricted certificate."""
    settings.INCUS_IDENTITY = tmp_path / "incus.pem"
    call_command("add_node", server.prepare(), name="real-1", stdout=StringIO())
    # Room is not what is measured here.
    Node.objects.update(memory_mb=10**6, disk_gb=10**6)
    return Node.objects.get()


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here, the queue is a real one, and so is whoever works it off."""
    queue = SqliteStorage("berth", filename=str(tmp_path / "queue.sqlite3"))
    monkeypatch.setattr(HUEY, "storage", queue)


@pytest.fixture
def panel(node: Node, tmp_path: Path) -> Iterator[Panel]:
    """Worker and watcher, as the Procfile starts them and with the settings of production."""
    panel = Panel(tmp_path)
    panel.worker()
    panel.watcher()
    wait_until(lambda: Node.objects.get().seen_at is not None)
    yield panel
    panel.close()


def through_the_panel(count: int, admin: Client, lena: User) -> Seconds:
    """An administrator ticks all and presses a button, once a phase."""
    rows = [
        ContainerFactory.create(
            customer=lena, status="ordered", image=IMAGE, memory_mb=MEMORY_MB, disk_gb=1
        ).pk
        for _ in range(count)
    ]
    ours = Container.objects.filter(pk__in=rows)

    def press(action: str) -> None:
        label = Container.actions()[action].label.lower()
        asked = {
            "action": action,
            "container": rows,
            "confirmed": "yes",
            "name": f"{label} {count}",
        }
        answer = admin.post("/containers/act/", asked)
        assert answer.status_code == 200
        wait_until(lambda: ours.filter(status=PHASES[action]).count() == count, PATIENCE)
        assert not ours.exclude(problem="").exists()

    return {phase: _timed(partial(press, phase)) for phase in PHASES}


def through_the_client(count: int, server: IncusNode) -> Seconds:
    """As many `incus` commands at once as the panel lets a node do."""
    limits = ["-c", "limits.cpu=1", "-c", f"limits.memory={MEMORY_MB}MiB", "-d", "root,size=1GiB"]
    commands: dict[str, Callable[[str], list[str]]] = {
        "create": lambda name: ["init", IMAGE, name, *limits],
        "start": lambda name: ["start", name],
        "stop": lambda name: ["stop", name],
        "destroy": lambda name: ["delete", name],
    }
    names = [f"cli-{number}" for number in range(count)]

    def all_of(phase: str) -> None:
        with ThreadPoolExecutor(django_settings.NODE_CONCURRENCY) as pool:
            asked = [[*commands[phase](name), f"--project={PROJECT}"] for name in names]
            list(pool.map(lambda words: server.incus(*words), asked))

    return {phase: _timed(partial(all_of, phase)) for phase in PHASES}


def _timed(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    took = time.monotonic() - began
    time.sleep(1)  # a system that has only begun to boot does not hear that it is to stop
    return took


@pytest.mark.parametrize(
    ("count", "rounds"),
    [
        pytest.param(4, 1, id="four"),
        pytest.param(100, 2, id="hundred", marks=pytest.mark.bench),
    ],
)
def test_the_panel_takes_hardly_longer_than_incus_own_client(
    count: int,
    rounds: int,
    panel: Panel,
    worker: None,
    server: IncusNode,
    as_ada: Client,
    lena: User,
    figures: Figures,
) -> None:
    ways: dict[str, Callable[[], Seconds]] = {
        "panel": lambda: through_the_panel(count, as_ada, lena),
        "client": lambda: through_the_client(count, server),
    }
    took: dict[str, list[Seconds]] = {way: [] for way in ways}
    for number in range(rounds):
        # Forth and back, so that neither gains by a machine that gets busier.
        for way in sorted(ways, reverse=number % 2 == 0):
            took[way].append(ways[way]())

    def mean(way: str, *phases: str) -> float:
        return sum(each[phase] for each in took[way] for phase in phases) / rounds

    lines: list[tuple[str, ...]] = [*((phase, phase) for phase in PHASES), ("total", *PHASES)]
    table = [(title, mean("panel", *phases), mean("client", *phases)) for title, *phases in lines]
    figures(
        f"{count} containers on one Incus node, {rounds} times each way",
        ["phase", "panel, s", "incus, s", "ratio"],
        [(*row, row[1] / row[2]) for row in table],
        f"{django_settings.NODE_CONCURRENCY} at once, either way.",
    )
    assert server.query(f"/1.0/instances?project={PROJECT}") == []
    assert table[-1][1] <= GENEROUS * table[-1][2]
