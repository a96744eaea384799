"""Two simulated nodes that do everything at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from containers.drivers import Driver, Spec
from tests.drivers.conftest import IMAGE, finish, install
from tests.tampering import Tampered


def spec(name: str = "ct-1") -> Spec:
    return Spec(name, "web", IMAGE, 1, 512, 5, "ssh-ed25519 AAAAC3 lena", {"order": "7"})


@pytest.fixture
def node(tmp_path: Path) -> Tampered:
    """A node that does everything at once, with `ct-1` stopped on it."""
    made = install(tmp_path / "fsn-1")
    made.seed(spec())
    return made


@pytest.fixture
def other(tmp_path: Path) -> Tampered:
    return install(tmp_path / "hel-1")


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long anybody has slept, though nobody waits for it. Time passes on the nodes by that
    alone, however busy the machine is; a process that is forked has a time of its own."""
    began, slept = time.time(), list[float]()
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "time", lambda: began + sum(slept))
    return slept


def did(driver: Tampered, name: str = "ct-1") -> list[str]:
    return [line["did"] for line in driver.journal() if line["instance"] == name]


def everything(driver: Driver, other: Driver) -> list[Callable[[], object]]:
    return [
        driver.resources,
        driver.images,
        driver.instances,
        lambda: driver.instance("ct-1"),
        lambda: finish(driver.create(spec())),
        lambda: finish(driver.start("ct-1")),
        lambda: finish(driver.stop("ct-1")),
        lambda: finish(driver.stop("ct-1", force=True)),
        lambda: finish(driver.delete("ct-1")),
        lambda: finish(driver.move("ct-1", other)),
        lambda: driver.list_folder("ct-1", "/"),
        lambda: driver.file_info("ct-1", "/"),
        lambda: driver.read_file("ct-1", "/etc/hostname"),
        lambda: driver.write_file("ct-1", "/root/x", BytesIO()),
        lambda: driver.make_folder("ct-1", "/root/x"),
        lambda: driver.rename("ct-1", "/root", "/boss"),
        lambda: driver.remove("ct-1", "/root"),
    ]
