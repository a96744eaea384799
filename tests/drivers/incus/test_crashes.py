"""Whenever the panel's process is killed: asked again, the work is done once, and in one place."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from io import BytesIO
from itertools import count
from typing import Any

import pytest

from containers.drivers import NoSuchInstance, Power, Progress
from containers.drivers.incus import Client, IncusDriver
from tests.drivers.conftest import finish
from tests.drivers.simulated.test_crashes import end_of, in_process

from .conftest import spec

pytestmark = pytest.mark.incus

DOING = ["create", "start", "stop", "delete", "move"]
_numbers = count(1)


class Pair:
    """Two nodes, and a process of its own for each piece of work on them."""

    def __init__(self, here: IncusDriver, there: IncusDriver) -> None:
        self.here, self.there = here, there

    def work(self, doing: str, name: str) -> Iterator[Progress]:
        """Asked of fresh drivers, as another process would."""
        here, there = (
            IncusDriver(driver.server, member=driver.member) for driver in (self.here, self.there)
        )
        return {
            "create": lambda: here.create(spec(name)),
            "start": lambda: here.start(name),
            "stop": lambda: here.stop(name, force=True),
            "delete": lambda: here.delete(name),
            "move": lambda: here.move(name, there),
        }[doing]()

    def prepare(self, doing: str, name: str) -> None:
        if doing != "create":
            finish(self.here.create(spec(name)))
            self.here.write_file(name, "/root/kept", BytesIO(b"kept"))
        if doing == "stop":
            finish(self.here.start(name))

    def check(self, doing: str, name: str) -> None:
        """The work is done, and nothing half-made is left."""
        if doing == "delete":
            assert [self.here.look(name), self.there.look(name)] == [None, None]
            return
        at = self.there if doing == "move" else self.here
        found = at.look(name)
        assert found
        assert found.is_whole
        assert found.power is (Power.RUNNING if doing == "start" else Power.STOPPED)
        other = self.here if doing == "move" else self.there
        assert other.look(name) is None
        if doing == "move":
            assert at.file_info(name, "/root/kept").size

    def clear(self, name: str) -> None:
        for driver in (self.here, self.there):
            with suppress(NoSuchInstance):
                finish(driver.stop(name, force=True))
            finish(driver.delete(name))


@pytest.fixture(params=["servers", "members"])
def pair(request: pytest.FixtureRequest) -> Pair:
    kind = "incus_drivers" if request.param == "servers" else "member_drivers"
    return Pair(*request.getfixturevalue(kind))


@pytest.fixture
def name(pair: Pair) -> Iterator[str]:
    fresh = f"ct-{os.getpid()}-k{next(_numbers)}"
    yield fresh
    pair.clear(fresh)


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do some work in a process that is killed at its `step`th moment; False where it has come
    to its end by then. A moment is just before or just after it asks a server for a change."""
    moments = count(1)

    def die_in_time() -> None:
        if next(moments) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    change = Client.change

    def watched(client: Client, *arguments: Any, **others: Any) -> dict[str, Any]:
        die_in_time()
        answer = change(client, *arguments, **others)
        die_in_time()
        return answer

    def doomed() -> None:
        setattr(Client, "change", watched)  # noqa: B010 - in this process only
        work()

    ended = end_of(in_process(doomed))
    assert ended in (0, -signal.SIGKILL)
    return ended != 0


@pytest.mark.parametrize("doing", DOING)
def test_killed_at_any_step_and_asked_again_it_is_done_once(
    pair: Pair, name: str, doing: str
) -> None:
    for step in count(1):
        pair.prepare(doing, name)
        killed = killed_at(step, partial(finish, pair.work(doing, name)))
        seen = [driver.instance(name) is not None for driver in (pair.here, pair.there)]
        if doing in ("start", "stop", "move"):
            assert any(seen), "at no moment is it on neither node"
        assert end_of(in_process(partial(finish, pair.work(doing, name)))) == 0
        pair.check(doing, name)
        pair.clear(name)
        if not killed:
            break
    assert step > 2


@pytest.mark.parametrize("pair", ["servers"], indirect=True)
def test_killed_at_any_step_and_given_up_a_move_leaves_no_half_copy(pair: Pair, name: str) -> None:
    for step in count(1):
        pair.prepare("move", name)
        killed = killed_at(step, partial(finish, pair.work("move", name)))
        finish(pair.here.give_up_move(name, pair.there))
        left = [found for driver in (pair.here, pair.there) if (found := driver.look(name))]
        assert left
        assert all(found.is_whole for found in left), f"half a copy after step {step}"
        pair.clear(name)
        if not killed:
            break
    assert step > 2


@pytest.mark.parametrize("doing", DOING)
def test_several_processes_at_once_have_one_effect(pair: Pair, name: str, doing: str) -> None:
    pair.prepare(doing, name)
    reading, writing = os.pipe()

    def ask() -> None:
        os.read(reading, 1)
        finish(pair.work(doing, name))

    children = [in_process(ask) for _ in range(3)]
    os.write(writing, b"...")
    ended = [end_of(child) for child in children]
    os.close(reading)
    os.close(writing)
    # Some may have been told to wait; whoever asks again finds it done, or does it.
    assert set(ended) <= {0, 1}
    finish(pair.work(doing, name))
    pair.check(doing, name)
