"""A wake-up arrives at once on every kind of queue; one that is gone loses nothing."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit
from uuid import uuid4

import psycopg
import pytest
from django.test import Client
from huey.contrib.djhuey import HUEY
from huey.storage import SqliteStorage

from containers import operations
from containers.models import Container, Operation
from containers.statuses import Status
from panel import queue
from panel.models import User
from panel.queue import PostgresWakeUps, RedisWakeUps, SqliteWakeUps
from tests.containers.test_processes import HURRIED, Panel, is_at_rest, until
from tests.panel.line import Line
from tests.redis_server import redis_server

WakeUps = SqliteWakeUps | PostgresWakeUps | RedisWakeUps


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield port


@pytest.fixture(scope="module")
def postgres() -> Iterator[SplitResult]:
    """The address of a database on the server that no other run knows."""
    if not (address := os.environ.get("BERTH_TEST_POSTGRES_URL")):
        pytest.skip("PostgreSQL is not there")
    name = f"queue_{uuid4().hex}"
    with psycopg.connect(address, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        yield urlsplit(address)._replace(path=f"/{name}")
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["postgres", "redis"])
def served(request: pytest.FixtureRequest) -> tuple[str, Line]:
    """The address of a queue on a server, and the line that leads there."""
    if request.param == "redis":
        line = Line(request.getfixturevalue("redis"))
        return f"redis://127.0.0.1:{line.port}/0", line
    server = request.getfixturevalue("postgres")
    line = Line(server.port or 5432)
    login = server.netloc.rpartition("@")[0]
    return server._replace(netloc=f"{login}@127.0.0.1:{line.port}").geturl(), line


def storage_at(address: str) -> WakeUps:
    if address.startswith("redis"):
        return RedisWakeUps("berth", address)
    if address.startswith("postgres"):
        return PostgresWakeUps("berth", address)
    return SqliteWakeUps("berth", address)


def seconds_until_woken(waits: WakeUps, rings: WakeUps) -> float:
    """How long after it was put into the queue a wake-up reaches one who waits already."""
    came: list[float] = []

    def wait() -> None:
        while waits.dequeue() is None:
            pass
        came.append(time.monotonic())

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.3)
    began = time.monotonic()
    rings.enqueue(b"wake up")
    thread.join()
    return came[0] - began


@pytest.fixture
def long_wait(monkeypatch: pytest.MonkeyPatch) -> float:
    """How long a queue is waited for, if nothing wakes whoever waits."""
    monkeypatch.setattr(queue, "WAIT", 40.0)
    return queue.WAIT


def test_a_wake_up_on_sqlite_arrives_at_once(tmp_path: Path, long_wait: float) -> None:
    address = str(tmp_path / "queue.sqlite3")
    took = [seconds_until_woken(storage_at(address), storage_at(address)) for _ in range(2)]
    assert max(took) < long_wait / 2


def test_a_wake_up_on_a_server_arrives_at_once(served: tuple[str, Line], long_wait: float) -> None:
    waits, rings = storage_at(served[0]), storage_at(served[0])
    waits.flush_queue()
    took = [seconds_until_woken(waits, rings) for _ in range(2)]
    assert max(took) < long_wait / 2


def test_each_wake_up_reaches_one_of_many_who_wait(tmp_path: Path) -> None:
    address = str(tmp_path / "queue.sqlite3")
    workers = [storage_at(address), storage_at(address)]
    got: list[bytes] = []
    stop = threading.Event()

    def work(storage: WakeUps) -> None:
        while not stop.is_set():
            if data := storage.dequeue():
                got.append(bytes(data))

    threads = [threading.Thread(target=work, args=[workers[n % 2]]) for n in range(8)]
    for thread in threads:
        thread.start()
    rings = storage_at(address)
    sent = [str(number).encode() for number in range(200)]
    for data in sent:
        rings.enqueue(data)
    until(lambda: len(got) >= len(sent), "all arrived")
    stop.set()
    for thread in threads:
        thread.join()
    assert sorted(got) == sorted(sent)


def test_a_wake_up_for_which_nobody_waits_is_there_later(tmp_path: Path) -> None:
    address = str(tmp_path / "queue.sqlite3")
    storage_at(address).enqueue(b"wake up")
    assert storage_at(address).dequeue() == b"wake up"


@pytest.mark.parametrize("address", ["postgres://berth@127.0.0.1:1/none", "redis://127.0.0.1:1"])
def test_a_panel_can_be_started_before_its_queue(address: str) -> None:
    storage = storage_at(address)
    with pytest.raises(Exception, match=r"127\.0\.0\.1"):
        storage.enqueue(b"wake up")


def test_a_queue_that_is_gone_is_reported_once_and_once_more_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(queue, "WAIT", 0.01)
    storage = storage_at(str(tmp_path / "queue.sqlite3"))
    with monkeypatch.context() as gone:
        gone.setattr(SqliteStorage, "dequeue", lambda _: 1 / 0)
        assert [storage.dequeue() for _ in range(3)] == [None] * 3
    assert [storage.dequeue() for _ in range(3)] == [None] * 3
    assert caplog.messages == [
        "the queue does not answer: division by zero",
        "the queue answers again",
    ]


@pytest.mark.parametrize("served", ["postgres"], indirect=True)
def test_those_who_open_a_new_queue_at_once_do_not_get_in_each_others_way(
    served: tuple[str, Line],
) -> None:
    address, _ = served
    others = [PostgresWakeUps("berth", address) for _ in range(6)]
    with ThreadPoolExecutor(len(others)) as pool:
        for _ in range(5):
            with psycopg.connect(address, autocommit=True) as server:
                for table in ("kv", "schedule", "task", "counter"):
                    server.execute(f"DROP TABLE IF EXISTS huey_{table} CASCADE")
            for each in others:
                each.close()
                each._has_tables = False
            list(pool.map(PostgresWakeUps.queue_size, others))


@pytest.mark.django_db
def test_a_click_while_the_queue_is_gone_is_heard(
    container: Container, as_lena: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Any) -> None:
        raise ConnectionError("nobody listens there")

    monkeypatch.setattr(HUEY, "enqueue", refuse)
    answer = as_lena.post(f"/containers/{container.pk}/act/", {"action": "start"}, follow=True)
    assert answer.status_code == 200
    assert 'data-status="booting"' in answer.content.decode()
    assert Operation.objects.open().count() == 1


class TestForReal:
    """Worker and watcher are processes of their own; the line to the queue is cut and mended."""

    pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

    @pytest.fixture
    def worker(self, served: tuple[str, Line], monkeypatch: pytest.MonkeyPatch) -> None:
        """Here, the queue is a real one, and so is whoever works it off."""
        storage = storage_at(served[0])
        storage.flush_queue()
        monkeypatch.setattr(HUEY, "storage", storage)

    @pytest.fixture
    def panel(
        self, transactional_db: None, tmp_path: Path, served: tuple[str, Line]
    ) -> Iterator[Panel]:
        panel = Panel(tmp_path, **HURRIED, BERTH_QUEUE_URL=served[0])
        yield panel
        panel.close()

    def test_work_goes_on_when_the_queue_is_back(
        self,
        panel: Panel,
        served: tuple[str, Line],
        container: Container,
        lena: User,
        client_of: Callable[[User], Client],
    ) -> None:
        def click(action: str) -> int:
            address = f"/containers/{container.pk}/act/"
            return client_of(lena).post(address, {"action": action}).status_code

        worker, watcher = panel.worker(), panel.watcher()
        operations.request(container.pk, "start", by=lena)
        until(lambda: is_at_rest(container), "started")
        assert container.status == Status.RUNNING

        _, line = served
        line.cut()
        assert click("stop") == 302
        container.refresh_from_db()
        assert container.status == Status.STOPPING
        time.sleep(2)
        line.mend()
        until(lambda: is_at_rest(container), "stopped")
        assert container.status == Status.STOPPED
        assert click("start") == 302
        until(lambda: is_at_rest(container), "started again")
        assert worker.poll() is None
        assert watcher.poll() is None


def test_a_queue_file_that_was_deleted_is_made_anew_by_whoever_comes_next(tmp_path: Path) -> None:
    """Or else those who have the old one open would never hear of those who open the new one."""
    file = tmp_path / "queue.sqlite3"
    web, worker = (SqliteWakeUps("berth", str(file)) for _ in range(2))
    web.enqueue(b"one")
    assert worker.dequeue() == b"one"
    for left in tmp_path.glob("queue.sqlite3*"):
        left.unlink()
    web.enqueue(b"two")
    assert worker.dequeue() == b"two"
    assert SqliteWakeUps("berth", str(file)).dequeue() is None
