"""Workers on nodes that do nothing, and when each piece of work reached them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huey import Huey
from huey.contrib.djhuey import HUEY

from containers.models import Container, Node
from panel.models import User
from panel.queue import PostgresWakeUps, RedisWakeUps, SqliteWakeUps
from tests.bench.engine import queues
from tests.bench.engine.fleet import fleet
from tests.bench.engine.worker import THREADS
from tests.cast import ContainerFactory
from tests.containers.test_processes import Panel, database_url, until
from tests.redis_server import redis_server


class Marks:
    """What the workers have noted."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.touch()

    def all(self) -> dict[str, float]:
        lines = (line.split() for line in self.file.read_text().splitlines())
        return {name: float(at) for name, at in lines}

    def of(self, name: object) -> float:
        """When this one began; waits for it."""
        until(lambda: str(name) in self.all(), f"{name} begun")
        return self.all()[str(name)]


class Engine:
    """The queue on the test's own kind of database, and workers as they are asked for."""

    def __init__(self, panel: Panel, marks: Marks, stock: Huey) -> None:
        self.panel = panel
        self.marks = marks
        self.bare = queues.task_of(stock)
        self.bare_on_ours = queues.task_of(HUEY)

    def work(self, *, workers: int = 1, bare: bool = False) -> None:
        """Start so many workers, and wait until they work."""
        for number in range(workers):
            more = ["--bare"] if bare else []
            self.panel.run("-m", "tests.bench.engine.worker", str(self.marks.file), *more)
            task = self.bare if bare else self.bare_on_ours
            for _ in range(2 * THREADS):
                task(-1 - number)
            self.marks.of(-1 - number)
        time.sleep(2)

    def stop(self) -> None:
        for process in self.panel.running:
            if process.poll() is None:
                self.panel.kill(process)


@pytest.fixture
def queue_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The queue is on the database of the containers, or in a file beside it; on Redis for a test
    that has the parameter "redis"."""
    if getattr(request, "param", "") == "redis":
        with redis_server(tmp_path) as port:
            yield f"redis://127.0.0.1:{port}/0"
        return
    address = database_url()
    yield address if address.startswith("postgres") else f"sqlite:///{tmp_path}/queue.sqlite3"


@pytest.fixture
def worker(queue_url: str, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here, the queue is a real one, and so is whoever works it off."""
    kinds: dict[str, Any] = {
        "postgres": PostgresWakeUps, "redis": RedisWakeUps, "sqlite": SqliteWakeUps,
    }  # fmt: skip
    kind = kinds[queue_url.partition(":")[0]]
    monkeypatch.setattr(HUEY, "storage", kind("berth", queue_url.removeprefix("sqlite:///")))


@pytest.fixture
def engine(worker: None, queue_url: str, tmp_path: Path) -> Iterator[Engine]:
    panel = Panel(tmp_path, BERTH_QUEUE_URL=queue_url)
    panel.environment |= {
        "DJANGO_SETTINGS_MODULE": "panel.settings",
        "BERTH_WORKER_THREADS": str(THREADS),
        "BERTH_LEASE": "10",
    }
    engine = Engine(panel, Marks(tmp_path / "marks"), queues.stock(queue_url))
    yield engine
    engine.bare_on_ours.unregister()
    panel.close()


@pytest.fixture(autouse=True)
def in_a_hurry(settings: Any) -> None:
    """Nobody is told to wait a minute."""
    settings.ASKED_A_MINUTE = 0


@pytest.fixture
def crowd(lena: User) -> list[Container]:
    """Stopped containers on nodes enough that none has its hands full."""
    nodes = Node.objects.bulk_create(
        Node(name=f"bench-{number}", kind=Node.Kind.SIMULATED) for number in range(50)
    )
    return [
        ContainerFactory.create(customer=lena, node=nodes[number % 50], on_node=False)
        for number in range(500)
    ]


@pytest.fixture
def nodes(
    request: pytest.FixtureRequest,
    transactional_db: None,
    tmp_path: Path,
    settings: Any,
    lena: User,
) -> Iterator[list[Node]]:
    """So many servers, so many of them hanging, and the status of all containers on them."""
    count, hanging, status = request.param
    settings.INCUS_IDENTITY = tmp_path / "incus.pem"
    with fleet(count, hanging, status, customer=lena, folder=tmp_path) as made:
        yield made
