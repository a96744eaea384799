"""What every test may ask for: the cast, signed-in browsers, the worker, the clock."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from inspect import getattr_static
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client
from django.utils import timezone
from huey.contrib.djhuey import HUEY

from containers.models import Container, Node
from orders.models import Plan, System
from panel import mail
from panel.models import User
from panel.sqlite import base
from tests.cast import (
    ContainerFactory,
    NodeFactory,
    PlanFactory,
    StaffFactory,
    SystemFactory,
    UserFactory,
)

if TYPE_CHECKING:
    from pytest_django import Settings


# How long an example takes says more about the machine than about the panel.
hypothesis.settings.register_profile("berth", deadline=None)
hypothesis.settings.register_profile("long", deadline=None, max_examples=3000)
hypothesis.settings.load_profile("berth")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: Playwright leaves an event loop behind, in which Django refuses
    to touch a database."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


def pytest_collection_finish() -> None:
    """What is loaded by now stays to the end: no search for garbage goes through it."""
    gc.freeze()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    tmp_path_factory: pytest.TempPathFactory,
    django_db_modify_db_settings_parallel_suffix: None,
) -> None:
    """Two runs in one checkout, or on one server, must not share a test database."""
    database = django_settings.DATABASES["default"]
    if database["ENGINE"] == "panel.sqlite":
        database["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")
    elif run := os.environ.get("PYTEST_XDIST_TESTRUNUID"):
        database["TEST"]["NAME"] += f"_{run}"


@pytest.fixture(autouse=True)
def surroundings(settings: Settings, tmp_path: Path) -> None:
    """Nothing outside the test's own folder is touched; no static files have to be collected."""
    settings.DATA = tmp_path
    settings.INCUS_IDENTITY = tmp_path / "incus.pem"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.WHITENOISE_AUTOREFRESH = True
    settings.STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


class Worker:
    """The queue, and the worker behind it, which runs when it is told to.

    `waiting` holds the tasks that were enqueued. In a test whose transaction never commits,
    what waits for the commit counts as enqueued as soon as the worker is asked for anything.
    """

    def __init__(self) -> None:
        self._queued: list[Any] = []

    def enqueue(self, task: Any) -> None:
        self._queued.append(task)

    @property
    def waiting(self) -> list[int]:
        """The ids of the Operations that the worker was woken for, oldest first."""
        self._commit()
        return [task.args[0] for task in self._queued]

    def carry_out_all(self) -> None:
        """Work until nothing waits any more, outside of any request."""
        self._commit()
        while self._queued:
            self._queued.pop(0).execute()
            self._commit()

    def lose_one(self, which: int = 0) -> None:
        """A wake-up does not arrive, or came at a bad moment; the oldest, if none is named."""
        self._commit()
        self._queued.pop(which)

    def lose_everything(self) -> None:
        """As if the queue had been emptied: no wake-up arrives."""
        self._commit()
        self._queued.clear()

    def _commit(self) -> None:
        while connection.in_atomic_block and connection.run_on_commit:
            callbacks, connection.run_on_commit = connection.run_on_commit, []
            for callback in callbacks:
                callback[1]()


class AtOnce:
    """In place of a thread: what it is given is done before the next line."""

    def submit(self, do: Callable[..., None], *given: Any) -> None:
        do(*given)


@pytest.fixture(autouse=True)
def mail_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mail that nobody waits for is there as soon as the answer is."""
    monkeypatch.setattr(mail, "POST", AtOnce())


@pytest.fixture(autouse=True)
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    """No test reaches a real queue: `worker.carry_out_all()` does what waits in it."""
    worker = Worker()
    monkeypatch.setattr(HUEY, "enqueue", worker.enqueue)
    return worker


class Clock:
    """The panel's time. Once it has been advanced, a test takes none of it, however slow the
    machine is. Unless it was set back, it is never behind the real time, which new rows have by
    default. Simulated nodes go by the real one; with pace 0 they do not wait."""

    def __init__(self) -> None:
        self._real = timezone.now
        self._now = self._real()
        self._set_back = timedelta()

    def now(self) -> datetime:
        # No two looks see the same time.
        later = self._now + timedelta(microseconds=1)
        self._now = max(later, self._real() - self._set_back)
        return self._now

    def advance(self, seconds: float = 0.0, *, by: timedelta = timedelta()) -> None:
        by += timedelta(seconds=seconds)
        self._now = self.now() + by
        self._set_back += max(-by, timedelta())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """`clock.advance(seconds)` lets time pass for everything that asks `timezone.now()`."""
    clock = Clock()
    monkeypatch.setattr(timezone, "now", clock.now)
    return clock


class Waiting:
    """Whether somebody waits for a row, or on SQLite to write, since it was told to look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._tried, pause = Event(), base.pause

        def noted(waited: float) -> float:
            self._tried.set()
            return pause(waited)

        monkeypatch.setattr(base, "pause", noted)
        self._aside = connection.copy()

    def look(self) -> None:
        self._tried.clear()

    def __bool__(self) -> bool:
        if connection.vendor == "sqlite":
            return self._tried.is_set()
        with self._aside.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return bool(cursor.fetchone()[0])

    def close(self) -> None:
        self._aside.close()


JustThen = Callable[[Any, str, Callable[[], Any]], Callable[[], Any]]


@pytest.fixture
def just_then(monkeypatch: pytest.MonkeyPatch) -> Iterator[JustThen]:
    """`just_then(Payment, "save", do)`: when this method, or function of a module, has been called
    next, somebody else does it, on a connection of their own, before its caller goes on; or waits
    by then for what the caller holds. Returns what gives the result. For tests whose transactions
    other threads can see."""
    with ThreadPoolExecutor(1) as others, closing(Waiting(monkeypatch)) as somebody_waits:

        def begin(place: Any, name: str, do: Callable[[], Any]) -> Callable[[], Any]:
            begun: list[Future[Any]] = []
            as_it_is = getattr_static(place, name)

            def on_its_own_connection() -> Any:
                try:
                    return do()
                finally:
                    connection.close()

            def once(*given: Any, **more: Any) -> Any:
                monkeypatch.setattr(place, name, as_it_is)
                answer = getattr(place, name)(*given, **more)
                somebody_waits.look()
                begun.append(others.submit(on_its_own_connection))
                late = time.monotonic() + 60
                while not begun[0].done() and not somebody_waits:
                    assert time.monotonic() < late, "it is neither done nor does it wait"
                    time.sleep(0.01)
                return answer

            monkeypatch.setattr(place, name, once)
            return lambda: begun[0].result(60)

        yield begin


@pytest.fixture
def lena(db: None) -> User:
    """A customer."""
    return UserFactory.create(username="lena", first_name="Lena", last_name="Fischer")


@pytest.fixture
def omar(db: None) -> User:
    """Another customer."""
    return UserFactory.create(username="omar", first_name="Omar", last_name="Haddad")


@pytest.fixture
def ada(db: None) -> User:
    """An administrator, and nothing else."""
    return UserFactory.create(username="ada", is_administrator=True)


@pytest.fixture
def sten(db: None) -> User:
    """Staff with what staff may do, and nothing else."""
    return StaffFactory.create(username="sten")


@pytest.fixture
def system(db: None) -> System:
    return SystemFactory.create()


@pytest.fixture
def plan(db: None, system: System) -> Plan:
    return PlanFactory.create(systems=[system])


@pytest.fixture
def node(db: None) -> Node:
    """A simulated node that does everything at once."""
    return NodeFactory.create(name="node-a")


@pytest.fixture
def other_node(db: None) -> Node:
    """Another, with less room, so that `node` is the first choice."""
    return NodeFactory.create(name="node-b", memory_mb=32768)


@pytest.fixture
def container(lena: User, node: Node) -> Container:
    """Lena's, stopped on `node`."""
    return ContainerFactory.create(customer=lena, node=node, name="web-01")


@pytest.fixture
def client_of() -> Callable[[User], Client]:
    """`client_of(person)`: a browser in which this person has signed in."""

    def signed_in(person: User) -> Client:
        client = Client()
        client.force_login(person)
        return client

    return signed_in


@pytest.fixture
def as_lena(lena: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(lena)


@pytest.fixture
def as_omar(omar: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(omar)


@pytest.fixture
def as_ada(ada: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(ada)


@pytest.fixture
def as_sten(sten: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(sten)
