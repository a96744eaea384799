"""The nodes that the contract is kept on, and what its tests need besides the protocol."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from containers.drivers import (
    Driver,
    DriverError,
    Instance,
    NoSuchInstance,
    Power,
    Progress,
    Resources,
    Spec,
)
from containers.drivers.simulated import SimulatedDriver

PATIENCE = 60.0  # seconds after which any work counts as stuck
IMAGE = "debian/12"

_numbers = count(1)


@dataclass(frozen=True)
class Nodes:
    """Two nodes of one kind. A kind of driver joins the contract by a fixture that returns
    this, named `<kind>_nodes`, and by its name among the parameters of `nodes`."""

    here: Driver
    there: Driver
    image: str
    put_link: Callable[[str, str, str], None]
    """`(name, path, target)`: make a link in a container on `here`."""
    mark: Callable[[str, str, int], tuple[int, int]]
    """`(name, path, mode)`: give a file this mode and some other owner; returns uid and gid."""
    put_stranger: Callable[[str], Callable[[], bool]]
    """`(name)`: put something on `here` that is not the panel's; returns whether it is
    still as it was."""

    def spec(self, name: str) -> Spec:
        return Spec(
            name,
            "web.example.org",
            self.image,
            1,
            128,
            1,
            "ssh-ed25519 AAAAC3 lena",
            {"order": "7"},
        )


@pytest.fixture(
    params=[
        "simulated",
        *(
            pytest.param(kind, marks=pytest.mark.incus)
            for kind in ("incus", "incus_socket", "incus_cluster")
        ),
    ]
)
def nodes(request: pytest.FixtureRequest) -> Nodes:
    found: Nodes = request.getfixturevalue(f"{request.param}_nodes")
    return found


@pytest.fixture
def name(nodes: Nodes) -> Iterator[str]:
    """A name that nobody has; whatever bears it at the end is deleted."""
    fresh = f"ct-{os.getpid()}-{next(_numbers)}"
    yield fresh
    for node in (nodes.here, nodes.there):
        try:
            finish(node.stop(fresh, force=True))
        except NoSuchInstance:
            continue
        finish(node.delete(fresh))


@pytest.fixture
def stopped(nodes: Nodes, name: str) -> str:
    """The name of a container that is stopped on `here`."""
    finish(nodes.here.create(nodes.spec(name)))
    return name


@pytest.fixture
def running(nodes: Nodes, stopped: str) -> str:
    finish(nodes.here.start(stopped))
    return stopped


@pytest.fixture
def simulated_nodes(tmp_path: Path) -> Nodes:
    here, there = (install(tmp_path / place, pace=0.01) for place in ("fsn-1", "hel-1"))

    def rootfs(name: str, path: str) -> Path:
        return tmp_path / "fsn-1/instances" / name / "rootfs" / path.lstrip("/")

    def put_link(name: str, path: str, target: str) -> None:
        rootfs(name, path).symlink_to(target)

    def mark(name: str, path: str, mode: int) -> tuple[int, int]:
        file = rootfs(name, path)
        if os.geteuid() == 0:
            os.chown(file, 33, 34)
        file.chmod(mode)
        return (33, 34) if os.geteuid() == 0 else (0, 0)

    def put_stranger(name: str) -> Callable[[], bool]:
        file = tmp_path / "fsn-1/instances" / name / "letter.txt"
        file.parent.mkdir()
        file.write_text("mine")
        return lambda: file.read_text() == "mine" and len(list(file.parent.iterdir())) == 1

    return Nodes(here, there, IMAGE, put_link, mark, put_stranger)


def install(root: Path, pace: float = 0) -> SimulatedDriver:
    return SimulatedDriver.install(root, Resources(16, 65536, 800), [IMAGE, "alpine/3.20"], pace)


def finish(work: Iterable[Progress]) -> list[Progress]:
    """Wait for the end of some work, but not for ever."""
    deadline, seen = time.monotonic() + PATIENCE, []
    for progress in work:
        seen.append(progress)
        assert time.monotonic() < deadline, f"still {progress} after {PATIENCE} s"
    return seen


def walk_away(work: Iterator[Progress]) -> None:
    """Ask for some work, and do not wait for it."""
    next(work, None)


def eventually(look: Callable[[], Instance | None], power: Power | None) -> None:
    """Look until the instance has that power, or with None, until it is gone."""
    deadline = time.monotonic() + PATIENCE
    while (found := look()) is None or found.power is not power:
        if found is None and power is None:
            return
        assert time.monotonic() < deadline, f"still {found} after {PATIENCE} s"
        time.sleep(0.02)


def whole_once(name: str, *drivers: Driver) -> Driver:
    """The one node that has this container."""
    having = [driver for driver in drivers if driver.instance(name)]
    assert len(having) == 1
    assert [name in driver.instances() for driver in drivers].count(True) == 1
    assert having[0].file_info(name, "/etc/passwd").size
    return having[0]


def refusal(work: Iterable[Progress]) -> DriverError:
    """The error that some work ends with."""
    with pytest.raises(DriverError) as caught:
        finish(work)
    return caught.value
