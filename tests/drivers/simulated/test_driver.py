"""What the simulated node promises beyond the contract: a journal, paces, a believable system."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import NoReturn

import pytest

from containers.drivers import (
    BadPath,
    Conflict,
    DriverError,
    FileKind,
    NoRoom,
    NoSuchInstance,
    Power,
    Progress,
    Refused,
    Resources,
)
from containers.drivers.simulated import Faults, SimulatedDriver
from tests.drivers.conftest import eventually, finish, install, refusal, walk_away, whole_once
from tests.tampering import Tampered

from .conftest import did, spec


def test_the_journal_shows_each_effect_once_however_often_it_is_asked(
    node: Tampered, other: Tampered
) -> None:
    works: list[Callable[[], Iterator[Progress]]] = [
        lambda: node.create(spec()),
        lambda: node.start("ct-1"),
        lambda: node.stop("ct-1"),
        lambda: node.move("ct-1", other),
        lambda: other.start("ct-1"),
        lambda: other.stop("ct-1", force=True),
        lambda: other.delete("ct-1"),
    ]
    for work in works:
        for _ in range(3):
            finish(work())
    assert did(node) == ["created", "started", "stopped", "moved_out"]
    assert did(other) == ["moved_in", "started", "forced", "deleted"]


def test_a_move_never_replaces_another_container_of_the_same_name(
    node: Tampered, other: Tampered
) -> None:
    other.seed(spec())
    other.write_file("ct-1", "/root/theirs", BytesIO())
    assert isinstance(refusal(node.move("ct-1", other)), Refused)
    assert node.instance("ct-1")
    assert other.file_info("ct-1", "/root/theirs")


def test_work_that_contradicts_is_told_to_wait(tmp_path: Path, other: SimulatedDriver) -> None:
    node = install(tmp_path / "fsn-1")
    for name in ("ct-1", "ct-2", "ct-3"):
        node.seed(spec(name), Power.RUNNING if name == "ct-2" else Power.STOPPED, pace=60)
    walk_away(node.start("ct-1"))
    walk_away(node.stop("ct-2"))
    walk_away(node.move("ct-3", other))
    assert {found.power for found in node.instances().values()} == {Power.BUSY}
    for work in (
        node.stop("ct-1"),
        node.stop("ct-1", force=True),
        node.delete("ct-1"),
        node.move("ct-1", other),
        node.start("ct-2"),
        node.delete("ct-2"),
        node.start("ct-3"),
        node.delete("ct-3"),
        node.create(spec("ct-3")),
        node.move("ct-3", install(tmp_path / "nbg-1")),
    ):
        assert isinstance(refusal(work), Conflict)
    with pytest.raises(Conflict):
        node.list_folder("ct-3", "/")


def test_a_stubborn_system_yields_to_force_only(tmp_path: Path) -> None:
    node = install(tmp_path / "fsn-1")
    node.seed(spec(), Power.RUNNING, pace=60, stubborn=True)
    gentle = node.stop("ct-1")
    assert [next(gentle).percent for _ in range(3)] == [None] * 3
    walk_away(node.stop("ct-1"))
    finish(node.stop("ct-1", force=True))
    finish(gentle)
    assert did(node) == ["created", "forced"]


def test_deleting_what_is_being_created_gives_it_up(tmp_path: Path) -> None:
    node = install(tmp_path / "fsn-1", pace=60)
    creation = node.create(spec())
    next(creation)
    assert not node.instances()
    finish(node.delete("ct-1"))
    assert isinstance(refusal(creation), Conflict)
    assert not did(node)
    assert not list((tmp_path / "fsn-1/creating").iterdir())


def test_work_takes_as_long_as_the_pace_says(tmp_path: Path, slept: list[float]) -> None:
    node = install(tmp_path / "fsn-1", pace=0.5)
    seen = finish(node.create(spec()))
    assert sum(slept) == pytest.approx(3, abs=0.1)
    assert max(slept) < 1, "there is progress every second"
    assert len(seen) >= len(slept)
    percents = [progress.percent or 0 for progress in seen]
    assert percents == sorted(percents)
    assert percents[-1] > 30
    assert seen[0].step == "Fetching Debian 12"


def test_addresses_are_unique_on_their_node_and_stay(node: Tampered, other: Tampered) -> None:
    for number in range(2, 6):
        finish(node.create(spec(f"ct-{number}")))
    before = {name: found.address for name, found in node.instances().items()}
    assert len(set(before.values())) == 5
    finish(node.start("ct-2"))
    finish(node.stop("ct-2"))
    assert {name: found.address for name, found in node.instances().items()} == before
    finish(node.move("ct-3", other))
    moved = other.instance("ct-3")
    assert moved
    assert moved.address.split(".")[:2] != before["ct-3"].split(".")[:2]


def test_what_happens_on_the_node_by_itself_is_reported(node: Tampered) -> None:
    node.power("ct-1", Power.RUNNING)
    assert node.instances()["ct-1"].power is Power.RUNNING
    node.power("ct-1", Power.ERROR)
    assert node.instances()["ct-1"].power is Power.ERROR
    assert isinstance(refusal(node.delete("ct-1")), Refused)
    node.power("ct-1", Power.STOPPED)
    node.lose("ct-1")
    assert node.instance("ct-1") is None
    with pytest.raises(NoSuchInstance):
        node.power("ct-1", Power.RUNNING)
    assert did(node) == ["created", "started", "stopped", "deleted"]


def test_work_that_the_node_interrupts_is_not_taken_for_done(tmp_path: Path) -> None:
    node = install(tmp_path / "fsn-1", pace=60)
    node.seed(spec())
    work = node.start("ct-1")
    next(work)
    node.lose("ct-1")
    assert isinstance(refusal(work), Conflict)


def test_a_container_is_seeded_once_as_it_is_to_be(node: Tampered) -> None:
    for _ in range(2):
        node.seed(spec("ct-2"), Power.RUNNING, pace=60)
        node.seed(spec("ct-3"), Power.BUSY, pace=60)
    found = node.instance("ct-2")
    assert found
    assert found.power is Power.RUNNING
    assert node.instance("ct-3") is None
    assert 0 <= (next(node.create(spec("ct-3"))).percent or 0) < 5
    assert did(node, "ct-2") == ["created"]


def test_everything_is_still_there_for_another_process(node: Tampered, tmp_path: Path) -> None:
    finish(node.start("ct-1"))
    node.set_faults(Faults(full=True))
    installed = SimulatedDriver.install(node.root, Resources(1, 2, 3), [], pace=0)
    assert installed.faults() == Faults(full=True)
    assert installed.resources().memory_mb == 2
    assert SimulatedDriver(tmp_path / "fsn-1").instances() == node.instances()


def test_a_fresh_system_looks_like_one(node: SimulatedDriver) -> None:
    def read(path: str) -> str:
        return b"".join(node.read_file("ct-1", path)).decode()

    assert read("/etc/hostname") == "web\n"
    assert 'PRETTY_NAME="Debian 12 (simulated)"' in read("/etc/os-release")
    assert read("/root/.ssh/authorized_keys") == "ssh-ed25519 AAAAC3 lena\n"
    assert "include /etc/nginx/conf.d/*.conf;" in read("/etc/nginx/nginx.conf")
    assert read("/var/log/syslog").count("\n") > 5
    assert "GET / HTTP/1.1" in read("/var/log/nginx/access.log")
    assert b"".join(node.read_file("ct-1", "/etc/localtime")).startswith(b"TZif2")
    assert node.file_info("ct-1", "/root/.ssh/authorized_keys").mode == 0o600
    assert node.file_info("ct-1", "/tmp").mode == 0o1777
    links = {found.name: found.target for found in node.list_folder("ct-1", "/etc/nginx")}
    assert links["sites-enabled"] == "sites-available"


def test_what_is_neither_file_nor_folder_is_shown_and_never_opened(
    node: Tampered, other: Tampered
) -> None:
    pipe = {found.name: found for found in node.list_folder("ct-1", "/run")}["initctl"]
    assert pipe.kind is FileKind.OTHER
    with pytest.raises(BadPath):
        node.read_file("ct-1", "/run/initctl")
    with pytest.raises(BadPath):
        node.write_file("ct-1", "/run/initctl", BytesIO(b"x"))
    finish(node.move("ct-1", other))
    assert other.file_info("ct-1", "/run/initctl").kind is FileKind.OTHER


def test_a_move_that_takes_long_keeps_nobody_from_the_node(
    node: Tampered, other: Tampered, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []

    def look(*_: object, **__: object) -> NoReturn:
        seen.append(SimulatedDriver(node.root, timeout=0.1).instances())
        seen.append(SimulatedDriver(other.root, timeout=0.1).instances())
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "symlink", look)
    assert isinstance(refusal(node.move("ct-1", other)), NoRoom)
    assert len(seen) == 2
    monkeypatch.undo()
    eventually(lambda: node.instance("ct-1"), Power.STOPPED)
    assert other.unfinished() == {"ct-1": True}
    finish(node.give_up_move("ct-1", other))
    assert not list(other.root.glob("arriving/*"))


def test_a_move_that_is_given_up_is_not_gone_on_with(
    tmp_path: Path, other: Tampered, slept: list[float]
) -> None:
    node = install(tmp_path / "fsn-1", pace=1)
    node.seed(spec(), Power.STOPPED)
    walk_away(node.move("ct-1", other))
    finish(node.give_up_move("ct-1", other))
    time.sleep(10)
    assert whole_once("ct-1", node, other) is node


def test_every_error_has_a_sentence_for_people(node: Tampered) -> None:
    node.power("ct-1", Power.RUNNING)
    errors: list[DriverError] = [refusal(node.delete("ct-1")), refusal(node.start("ct-9"))]
    with pytest.raises(DriverError) as caught:
        node.list_folder("ct-1", "/")
    for error in (*errors, caught.value):
        assert error.sentence.endswith(".")
        assert "ct-" not in error.sentence
        assert error.detail
