"""A simulated node that fails, is full or is cut off does what a real one would."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import NoReturn

import pytest

from containers.drivers import NoRoom, Power, Progress, Refused, Unreachable
from containers.drivers.simulated import Faults, SimulatedDriver
from tests.drivers.conftest import finish, install, refusal, whole_once
from tests.tampering import Tampered

from .conftest import did, everything, spec


def test_an_unplugged_node_answers_nothing_and_loses_nothing(
    node: Tampered, other: Tampered, slept: list[float]
) -> None:
    node.set_faults(Faults(unplugged=True))
    for call in everything(node, other):
        with pytest.raises(Unreachable):
            call()
    assert not slept
    node.set_faults(Faults())
    assert whole_once("ct-1", node, other) is node
    assert node.file_info("ct-1", "/root/.bashrc").size


def test_work_goes_on_while_a_node_is_unplugged(tmp_path: Path, slept: list[float]) -> None:
    node = install(tmp_path / "fsn-1", pace=1)
    node.seed(spec())
    work = node.start("ct-1")
    next(work)
    node.set_faults(Faults(unplugged=True))
    assert isinstance(refusal(work), Unreachable)
    time.sleep(2)
    node.set_faults(Faults())
    found = node.instance("ct-1")
    assert found
    assert found.power is Power.RUNNING


def test_a_hanging_node_keeps_one_waiting_no_longer_than_the_time_out(
    tmp_path: Path, slept: list[float]
) -> None:
    install(tmp_path / "fsn-1").set_faults(Faults(hanging=True))
    node = SimulatedDriver(tmp_path / "fsn-1", timeout=3)
    calls = everything(node, node)
    for call in calls:
        with pytest.raises(Unreachable):
            call()
    assert slept == [3] * len(calls)


def test_a_slow_node_still_answers_in_time(node: Tampered, slept: list[float]) -> None:
    node.set_faults(Faults(slow=True))
    assert node.instances()
    assert 0.1 < sum(slept) < node.timeout


def test_a_failing_node_refuses_all_work_and_says_why(node: Tampered, other: Tampered) -> None:
    node.seed(spec("ct-2"), Power.RUNNING)
    other.seed(spec("ct-4"))
    node.set_faults(Faults(failing=True))
    for work in (
        node.create(spec("ct-3")),
        node.start("ct-1"),
        node.stop("ct-2"),
        node.stop("ct-2", force=True),
        node.delete("ct-1"),
        node.move("ct-1", other),
        other.move("ct-4", node),
    ):
        error = refusal(work)
        assert isinstance(error, Refused)
        assert error.detail.startswith("Failed")
    assert {name: found.power for name, found in node.instances().items()} == {
        "ct-1": Power.STOPPED,
        "ct-2": Power.RUNNING,
    }
    assert did(node) == ["created"]


@pytest.mark.parametrize("doing", ["create", "start", "delete", "move"])
def test_work_that_fails_half_way_ends_where_it_began(
    tmp_path: Path, doing: str, slept: list[float]
) -> None:
    node, other = install(tmp_path / "fsn-1", pace=1), install(tmp_path / "hel-1")
    node.seed(spec())
    works: dict[str, Callable[[], Iterator[Progress]]] = {
        "create": lambda: node.create(spec("ct-2")),
        "start": lambda: node.start("ct-1"),
        "delete": lambda: node.delete("ct-1"),
        "move": lambda: node.move("ct-1", other),
    }
    work = works[doing]
    begun = work()
    next(begun)
    node.set_faults(Faults(failing=True))
    assert isinstance(refusal(begun), Refused)
    assert {name: found.power for name, found in node.instances().items()} == {
        "ct-1": Power.STOPPED
    }
    node.set_faults(Faults())
    finish(work())
    assert did(node, "ct-2" if doing == "create" else "ct-1")[-1].startswith(doing[:4])


def test_a_full_node_takes_nothing_more_in(node: Tampered, other: Tampered) -> None:
    other.seed(spec("ct-2"))
    node.set_faults(Faults(full=True))
    assert isinstance(refusal(node.create(spec("ct-3"))), NoRoom)
    assert isinstance(refusal(other.move("ct-2", node)), NoRoom)
    with pytest.raises(NoRoom):
        node.write_file("ct-1", "/etc/hostname", BytesIO(b"changed"))
    assert b"".join(node.read_file("ct-1", "/etc/hostname")) == b"web\n"
    assert node.instances().keys() == {"ct-1"}
    assert whole_once("ct-2", node, other) is other
    finish(node.start("ct-1"))


def test_a_move_stays_here_when_its_target_goes_away_meanwhile(
    tmp_path: Path, other: Tampered, slept: list[float]
) -> None:
    node = install(tmp_path / "fsn-1", pace=1)
    node.seed(spec())
    work = node.move("ct-1", other)
    next(work)
    other.set_faults(Faults(unplugged=True))
    assert isinstance(refusal(work), Unreachable)
    found = node.instance("ct-1")
    assert found
    assert found.power is Power.STOPPED
    other.set_faults(Faults())
    assert whole_once("ct-1", node, other) is node
    finish(node.move("ct-1", other))
    assert whole_once("ct-1", node, other) is other


def disk_is_full(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_is_really_full_is_no_room(
    node: Tampered, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "mkfifo", disk_is_full)
        patch.setattr(os, "fsync", disk_is_full)
        assert isinstance(refusal(node.create(spec("ct-2"))), NoRoom)
        assert node.instance("ct-2") is None
        with pytest.raises(NoRoom):
            node.write_file("ct-1", "/etc/hostname", BytesIO(b"changed"))
    assert b"".join(node.read_file("ct-1", "/etc/hostname")) == b"web\n"
    finish(node.create(spec("ct-2")))
    assert node.instance("ct-2")


def test_a_node_that_was_never_set_up_is_out_of_reach(tmp_path: Path) -> None:
    node = SimulatedDriver(tmp_path / "nowhere")
    for call in everything(node, node):
        with pytest.raises(Unreachable):
            call()
    assert not (tmp_path / "nowhere").exists()


def test_a_state_that_cannot_be_read_is_an_error_of_one_container(node: Tampered) -> None:
    node.seed(spec("ct-2"))
    (node.root / "instances/ct-1/state.json").write_text("{")
    powers = {name: found.power for name, found in node.instances().items()}
    assert powers == {"ct-1": Power.ERROR, "ct-2": Power.STOPPED}
    finish(node.stop("ct-1", force=True))
    finish(node.delete("ct-1"))


def test_who_holds_the_lock_for_too_long_makes_the_node_unreachable(
    node: Tampered, tmp_path: Path
) -> None:
    impatient = SimulatedDriver(node.root, timeout=0.1)
    descriptor = os.open(tmp_path / "fsn-1", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(Unreachable):
            impatient.instances()
    finally:
        os.close(descriptor)
    assert impatient.instances()
