"""A simulated node loses nothing and does nothing twice, whenever a process is killed."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from itertools import count
from pathlib import Path

import pytest

from containers.drivers import Conflict, DriverError, FileChanged, Power, Progress, Spec
from containers.drivers.simulated import SimulatedDriver
from containers.drivers.simulated.node import SimulatedNode
from tests.drivers.conftest import IMAGE, eventually, finish, install, whole_once

_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.chmod"}


class Pair:
    """Two nodes, and a process of its own for each piece of work on them."""

    def __init__(self, folder: Path, pace: float) -> None:
        self.here = install(folder / "fsn-1", pace)
        self.there = install(folder / "hel-1", pace)

    def work(self, doing: str, name: str) -> Iterator[Progress]:
        """Asked of a fresh driver, as another process would."""
        here, there = SimulatedDriver(self.here.root), SimulatedDriver(self.there.root)
        if doing == "create":
            return here.create(Spec(name, "web", IMAGE, 1, 512, 5))
        if doing == "move":
            return here.move(name, there)
        if doing == "delete":
            return here.delete(name)
        return here.start(name) if doing == "start" else here.stop(name, force=doing == "force")

    def prepare(self, doing: str, name: str) -> None:
        if doing != "create":
            power = Power.RUNNING if doing in ("stop", "force") else Power.STOPPED
            self.here.seed(Spec(name, "web", IMAGE, 1, 512, 5), power)

    def check(self, doing: str, name: str) -> None:
        """The work is done, once, and has left nothing half-made."""
        found = self.here.instance(name)
        if doing in ("delete", "move"):
            assert found is None
        else:
            assert found
            assert found.power is (Power.RUNNING if doing == "start" else Power.STOPPED)
        if doing == "move":
            assert whole_once(name, self.here, self.there) is self.there
        elif doing in ("create", "stop", "force"):
            assert whole_once(name, self.here, self.there) is self.here
        lines = [*self.here.journal(), *self.there.journal()]
        effects = Counter(line["did"] for line in lines if line["instance"] == name)
        expected = {
            "create": ["created"],
            "start": ["created", "started"],
            "stop": ["created", "stopped"],
            "force": ["created", "forced"],
            "delete": ["created", "deleted"],
            "move": ["created", "moved_in", "moved_out"],
        }
        assert effects == Counter(expected[doing])
        for node in (self.here, self.there):
            for folder in ("creating", "arriving"):
                assert not list((node.root / folder).iterdir())


DOING = ["create", "start", "stop", "force", "delete", "move"]


def in_process(work: Callable[[], object]) -> int:
    """Begin some work in a process of its own."""
    child = os.fork()
    if child:
        return child
    try:
        signal.alarm(30)
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def end_of(child: int) -> int:
    """0, or the code or the signal with which the process ended."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def at_each_change(act: Callable[[int], object]) -> None:
    """From now on, call `act` with 1, 2, … just before this process changes a file system."""
    steps = count(1)

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT
        if writes or event in _CHANGES:
            act(next(steps))

    sys.addaudithook(watch)


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do some work in a process that is killed just before its `step`th change of a file
    system; False where it has come to its end by then."""

    def die(now: int) -> None:
        if now == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def doomed() -> None:
        at_each_change(die)
        work()

    ended = end_of(in_process(doomed))
    assert ended in (0, -signal.SIGKILL)
    return ended != 0


def changes_of(work: Callable[[], object]) -> int:
    """Do some work in a process of its own; how many changes of a file system it takes."""
    reading, writing = os.pipe()

    def counted() -> None:
        at_each_change(lambda _: os.write(writing, b"."))
        work()

    assert end_of(in_process(counted)) == 0
    os.close(writing)
    with os.fdopen(reading, "rb") as steps:
        return len(steps.read())


@pytest.mark.parametrize("doing", DOING)
def test_killed_at_any_step_and_asked_again_it_is_done_once(tmp_path: Path, doing: str) -> None:
    pair = Pair(tmp_path, pace=0)
    pair.prepare(doing, "ct-0")
    last = changes_of(lambda: finish(pair.work(doing, "ct-0")))
    assert last >= 4
    # The many steps in the middle copy one file each: every sixth of them will do.
    for step in [
        *range(1, min(12, last)),
        *range(12, last - 30, 6),
        *range(max(12, last - 30), last + 1),
    ]:
        name = f"ct-{step}"
        pair.prepare(doing, name)
        assert killed_at(step, partial(finish, pair.work(doing, name)))
        if step % 2:  # whoever looks in between sees what is whole, and may carry on with it
            for node in (pair.here, pair.there):
                found = node.instances().get(name)
                if found and found.power is Power.STOPPED:
                    assert node.file_info(name, "/etc/passwd").size
        assert end_of(in_process(partial(finish, pair.work(doing, name)))) == 0
        pair.check(doing, name)


@pytest.mark.parametrize("asked_again", [False, True])
@pytest.mark.parametrize("doing", DOING)
def test_work_goes_on_when_whoever_asked_is_killed(
    tmp_path: Path, doing: str, asked_again: bool, slept: list[float]
) -> None:
    pair = Pair(tmp_path, pace=1)
    pair.prepare(doing, "ct-1")
    reading, writing = os.pipe()

    def ask() -> None:
        work = pair.work(doing, "ct-1")
        next(work)
        os.write(writing, b".")
        signal.pause()

    child = in_process(ask)
    os.close(writing)
    assert os.read(reading, 1)
    os.kill(child, signal.SIGKILL)
    assert end_of(child) == -signal.SIGKILL
    os.close(reading)
    if asked_again:
        assert end_of(in_process(lambda: finish(pair.work(doing, "ct-1")))) == 0
    elif doing in ("delete", "move"):
        eventually(lambda: pair.here.instance("ct-1"), None)
    else:
        power = Power.RUNNING if doing == "start" else Power.STOPPED
        eventually(lambda: pair.here.instance("ct-1"), power)
    pair.check(doing, "ct-1")


@pytest.mark.parametrize("doing", DOING)
@pytest.mark.parametrize("pace", [0, 0.02])
def test_several_processes_at_once_have_one_effect(tmp_path: Path, doing: str, pace: float) -> None:
    pair = Pair(tmp_path, pace)
    pair.prepare(doing, "ct-1")
    reading, writing = os.pipe()

    def ask() -> None:
        os.read(reading, 1)
        finish(pair.work(doing, "ct-1"))

    children = [in_process(ask) for _ in range(4)]
    os.write(writing, b"....")
    assert [end_of(child) for child in children] == [0] * 4
    os.close(reading)
    os.close(writing)
    pair.check(doing, "ct-1")


@pytest.mark.parametrize(("rounds", "pause"), [(15, 0.0), (2, 0.02)])
def test_opposite_moves_do_not_wait_for_each_other_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: int, pause: float
) -> None:
    pair, locked = Pair(tmp_path, pace=0), SimulatedNode.locked

    @contextmanager
    def locked_for_longer(node: SimulatedNode) -> Iterator[None]:
        with locked(node):
            time.sleep(pause)
            yield

    monkeypatch.setattr(SimulatedNode, "locked", locked_for_longer)
    pair.prepare("move", "ct-1")
    pair.there.seed(Spec("ct-2", "web", IMAGE, 1, 512, 5))

    def back_and_forth(name: str, home: SimulatedDriver, away: SimulatedDriver) -> None:
        for _ in range(rounds):
            finish(home.move(name, away))
            finish(away.move(name, home))

    children = [
        in_process(lambda: back_and_forth("ct-1", pair.here, pair.there)),
        in_process(lambda: back_and_forth("ct-2", pair.there, pair.here)),
    ]
    for _ in range(rounds):
        pair.here.instances()
        pair.there.instances()
    assert [end_of(child) for child in children] == [0, 0]
    assert whole_once("ct-1", pair.here, pair.there) is pair.here
    assert whole_once("ct-2", pair.here, pair.there) is pair.there
    effects = Counter(line["did"] for line in pair.here.journal())
    assert effects == {"created": 1, "moved_in": 2 * rounds, "moved_out": 2 * rounds}


def test_a_container_that_is_moved_both_ways_at_once_is_in_one_place(tmp_path: Path) -> None:
    pair = Pair(tmp_path, pace=0)
    pair.prepare("move", "ct-1")

    def move(source: SimulatedDriver, target: SimulatedDriver) -> None:
        for _ in range(20):
            try:
                finish(source.move("ct-1", target))
            except Conflict:
                continue

    children = [
        in_process(lambda: move(pair.here, pair.there)),
        in_process(lambda: move(pair.there, pair.here)),
    ]
    assert [end_of(child) for child in children] == [0, 0]
    whole_once("ct-1", pair.here, pair.there)


def test_of_two_who_change_a_file_at_once_one_is_told(tmp_path: Path) -> None:
    pair = Pair(tmp_path, pace=0)
    pair.prepare("start", "ct-1")
    version = pair.here.file_info("ct-1", "/etc/hostname").version
    reading, writing = os.pipe()

    def change() -> None:
        os.read(reading, 1)
        try:
            pair.here.write_file("ct-1", "/etc/hostname", BytesIO(b"mine\n"), version=version)
        except FileChanged:
            os._exit(3)

    children = [in_process(change) for _ in range(4)]
    os.write(writing, b"....")
    assert sorted(end_of(child) for child in children) == [0, 3, 3, 3]
    os.close(reading)
    os.close(writing)


def test_a_file_is_whole_whenever_its_writer_is_killed(tmp_path: Path) -> None:
    pair = Pair(tmp_path, pace=0)
    pair.prepare("start", "ct-1")
    before = {found.name for found in pair.here.list_folder("ct-1", "/etc")}
    old, new = b"web\n", b"x" * 300_000

    def write() -> None:
        pair.here.write_file("ct-1", "/etc/hostname", BytesIO(new))

    for step in count(1):
        killed = killed_at(step, write)
        assert b"".join(pair.here.read_file("ct-1", "/etc/hostname")) in (old, new)
        assert {found.name for found in pair.here.list_folder("ct-1", "/etc")} == before
        if not killed:
            break
    assert step > 2
    assert b"".join(pair.here.read_file("ct-1", "/etc/hostname")) == new


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    pair = Pair(tmp_path, pace=0)
    reading, writing = os.pipe()

    def hold() -> None:
        with pair.here._node.locked():
            os.write(writing, b".")
            signal.pause()

    child = in_process(hold)
    os.read(reading, 1)
    with pytest.raises(DriverError):
        SimulatedDriver(pair.here.root, timeout=0.05).instances()
    os.kill(child, signal.SIGKILL)
    assert end_of(child) == -signal.SIGKILL
    os.close(reading)
    os.close(writing)
    assert SimulatedDriver(pair.here.root, timeout=0.05).instances() == {}
