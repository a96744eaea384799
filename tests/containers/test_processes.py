"""Real processes, really killed: nothing is lost, nothing is done twice, nothing is left stuck."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from huey.contrib.djhuey import HUEY

from containers import operations
from containers.drivers import Power
from containers.drivers.simulated import Faults
from containers.models import Container, Node, Operation
from containers.statuses import TRANSIENT, Status
from panel.models import User
from panel.queue import SqliteWakeUps
from tests.cast import ContainerFactory, NodeFactory, effects_on, power_of, set_pace
from tests.tampering import simulated

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

# For the processes, in seconds: short, so that a test need not wait for long.
HURRIED = {
    "BERTH_LEASE": "1.5",
    "BERTH_WATCH_EVERY": "0.5",
    "BERTH_WORKER_THREADS": "4",
}
# How long it takes a busy machine to start a process says nothing of the panel.
PATIENCE = 300.0
FOR_EVER = 1000.0


def database_url() -> str:
    """The test's own database, for another process."""
    known = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{known['NAME']}"
    login = f"{known['USER']}:{known['PASSWORD']}" if known["PASSWORD"] else known["USER"]
    return f"postgres://{login}@{known['HOST']}:{known['PORT']}/{known['NAME']}"


def until(true: Callable[[], Any], what: str, *, patience: float = PATIENCE) -> None:
    """Wait for it, but not for ever."""
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline, f"after {patience} s still not: {what}"
        time.sleep(0.05)


class Panel:
    """The processes of a panel on the test's database and nodes, with these settings."""

    def __init__(self, data: Path, **settings: str) -> None:
        self.data = data
        self.running: list[subprocess.Popen[bytes]] = []
        self.environment = os.environ | {
            "BERTH_DATA": str(data),
            "BERTH_DATABASE_URL": database_url(),
            "BERTH_QUEUE_URL": f"sqlite:///{data / 'queue.sqlite3'}",
            **settings,
        }

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        return self.run("manage.py", *command)

    def run(self, *command: str) -> subprocess.Popen[bytes]:
        """Python with these arguments, as a process of the panel."""
        with (self.data / f"{command[1]}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=django_settings.BASE_DIR,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        self.running.append(process)
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        return self.start("run_huey")

    def watcher(self) -> subprocess.Popen[bytes]:
        return self.start("watch")

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    def close(self) -> None:
        for process in self.running:
            if process.poll() is None:
                self.kill(process)
        for log in sorted(self.data.glob("*.log")):
            print(f"--- {log.name}\n{log.read_text()}")  # noqa: T201


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here, the queue is a real one, and so is whoever works it off."""
    queue = SqliteWakeUps("berth", filename=str(tmp_path / "queue.sqlite3"))
    monkeypatch.setattr(HUEY, "storage", queue)


@pytest.fixture
def panel(transactional_db: None, tmp_path: Path) -> Iterator[Panel]:
    panel = Panel(tmp_path, **HURRIED)
    yield panel
    panel.close()


def operation_of(container: Container) -> Operation:
    return container.operations.latest("pk")


def is_under_way(container: Container) -> bool:
    """Whether the node has begun, and the worker has heard so."""
    operation = operation_of(container)
    return bool(operation.held_by) and operation.progress is not None


def has_been_tried(container: Container, times: int) -> bool:
    """At least so often: on a busy machine a worker may lose a lease though it lives."""
    return operation_of(container).attempts >= times


def are_at(doing: str) -> bool:
    """Whether this is under way on one of the nodes."""
    return doing in chain(*(simulated(node).doing() for node in Node.objects.all()))


def work_at(pace: float) -> None:
    """Have the nodes be done with what is under way, and go on at this pace."""
    for node in Node.objects.all():
        simulated(node).set_pace(pace)


def is_at_rest(container: Container) -> bool:
    container.refresh_from_db()
    return container.status not in {*TRANSIENT, Status.OFFLINE}


def check_that_all_agree(container: Container, ends: str) -> None:
    container.refresh_from_db()
    assert (container.status, container.problem) == (ends, "")
    expected = {"running": Power.RUNNING, "stopped": Power.STOPPED}.get(ends)
    assert power_of(container) is expected
    operation = operation_of(container)
    assert (operation.outcome, container.operations.count()) == ("done", 1)
    history = [(c.from_status, c.to_status) for c in container.changes.order_by("pk")]
    assert history[-1][1] == ends
    assert all(earlier[1] == later[0] for earlier, later in pairwise(history))


KINDS = [
    pytest.param("create", "ordered", "stopped", ["created"], id="create"),
    pytest.param("start", "stopped", "running", ["started"], id="start"),
    pytest.param("stop", "running", "stopped", ["stopped"], id="stop"),
    pytest.param("restart", "running", "running", ["stopped", "started"], id="restart"),
    pytest.param("migrate", "stopped", "stopped", ["moved_in", "moved_out"], id="migrate-stopped"),
    pytest.param(
        "migrate",
        "running",
        "running",
        ["stopped", "moved_in", "moved_out", "started"],
        id="migrate-running",
    ),
    pytest.param("destroy", "stopped", "destroyed", ["deleted"], id="destroy"),
]


@pytest.fixture
def a_container(lena: User) -> Callable[..., Container]:
    """On a node where nothing is done before the test says so, with another to go to."""

    def make(status: str, pace: float = FOR_EVER) -> Container:
        node, other = NodeFactory.create(name="a", memory_mb=65536), NodeFactory.create(name="b")
        at = {} if status == "ordered" else {"node": node}
        container: Container = ContainerFactory.create(customer=lena, status=status, **at)
        Node.objects.filter(pk=other.pk).update(memory_mb=32768)
        set_pace(node, pace)
        set_pace(other, pace)
        return container

    return make


@pytest.mark.parametrize(("kind", "status", "ends", "did"), KINDS)
def test_a_worker_killed_in_the_middle_loses_nothing_and_does_nothing_twice(
    kind: str,
    status: str,
    ends: str,
    did: list[str],
    panel: Panel,
    a_container: Callable[..., Container],
    ada: User,
) -> None:
    container = a_container(status)
    before = effects_on(*Node.objects.all(), of=container)
    panel.watcher()
    worker = panel.worker()
    operations.request(container.pk, kind, by=ada)
    until(lambda: is_under_way(container), f"{kind} under way")
    panel.kill(worker)

    container.refresh_from_db()
    assert container.is_transient
    assert operation_of(container).is_open
    panel.worker()
    until(lambda: has_been_tried(container, 2), f"{kind} taken up again")
    work_at(0.1)
    until(lambda: is_at_rest(container), f"{kind} over")
    check_that_all_agree(container, ends)
    assert effects_on(*Node.objects.all(), of=container)[len(before) :] == did


def test_a_worker_killed_again_and_again_gets_there(
    panel: Panel, a_container: Callable[..., Container], ada: User
) -> None:
    container = a_container("running")
    panel.watcher()
    worker = panel.worker()
    operations.request(container.pk, "migrate", by=ada)
    for attempt, doing in enumerate(("stop", "move", "start"), start=1):
        until(partial(has_been_tried, container, attempt), f"try {attempt} begun")
        until(partial(are_at, doing), f"{doing} under way")
        panel.kill(worker)
        work_at(FOR_EVER)
        worker = panel.worker()
    until(lambda: is_at_rest(container), "migration over")
    check_that_all_agree(container, "running")
    did = effects_on(*Node.objects.all(), of=container)
    assert did == ["created", "stopped", "moved_in", "moved_out", "started"]


def heeds(process: subprocess.Popen[bytes], number: int) -> bool:
    """Whether a process has something to do of its own where it gets this signal."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def test_a_worker_that_is_told_to_stop_does_so_soon_and_its_work_goes_on(
    panel: Panel, a_container: Callable[..., Container], ada: User
) -> None:
    container = a_container("stopped")
    panel.watcher()
    worker = panel.worker()
    operations.request(container.pk, "start", by=ada)
    until(lambda: is_under_way(container), "start under way")
    # Its threads work before it listens to signals.
    until(lambda: heeds(worker, signal.SIGTERM), "ready to be told")
    worker.terminate()
    assert worker.wait(PATIENCE) == 0
    work_at(0)
    panel.worker()
    until(lambda: is_at_rest(container), "start over")
    check_that_all_agree(container, "running")
    assert effects_on(*Node.objects.all(), of=container) == ["created", "started"]


def test_a_watcher_that_was_killed_goes_on_where_it_was(
    panel: Panel, a_container: Callable[..., Container], ada: User
) -> None:
    container = a_container("running", 0)
    node = container.node
    assert node is not None
    watcher = panel.watcher()
    until(lambda: Node.objects.get(pk=node.pk).seen_at, "the first look")
    simulated(node).set_faults(Faults(unplugged=True))
    until(lambda: Node.objects.get(pk=node.pk).misses > 0, "a miss")
    panel.kill(watcher)
    panel.watcher()
    until(lambda: Container.objects.get().status == Status.OFFLINE, "off-line")
    simulated(node).power(container.instance_name, Power.STOPPED)
    simulated(node).set_faults(Faults())
    until(lambda: is_at_rest(container), "back")
    assert container.status == Status.STOPPED


def test_work_on_a_node_that_goes_away_is_taken_up_when_it_is_back(
    panel: Panel, a_container: Callable[..., Container], ada: User
) -> None:
    container = a_container("stopped")
    node = container.node
    assert node is not None
    panel.watcher()
    panel.worker()
    operations.request(container.pk, "start", by=ada)
    until(lambda: is_under_way(container), "start under way")
    simulated(node).set_faults(Faults(unplugged=True))
    until(lambda: Container.objects.get().status == Status.OFFLINE, "off-line")
    simulated(node).set_faults(Faults())
    work_at(0)
    until(lambda: is_at_rest(container), "start over")
    check_that_all_agree(container, "running")
    assert effects_on(node, of=container) == ["created", "started"]


def hears_a_signal(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has said what is to be done at SIGTERM."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = int(status.partition("SigCgt:\t")[2].partition("\n")[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def test_processes_stop_when_they_are_told_to(panel: Panel) -> None:
    processes = [panel.worker(), panel.watcher()]
    until(lambda: all(map(hears_a_signal, processes)), "started")
    for process in processes:
        process.terminate()
    assert [process.wait(PATIENCE) for process in processes] == [0, 0]
