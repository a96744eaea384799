"""The nodes that the contract is kept on, and what its tests need besides the protocol."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
from containers.drivers.incus import IncusDriver, Server, files, trust
from tests.incus_node import IMAGE as INCUS_IMAGE
from tests.incus_node import PROJECT, IncusNode, daemons, make_cluster, wait_until
from tests.tampering import Tampered

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
    put_by_hand: Callable[[str], None]
    """`(name)`: make a container on `here` as somebody does who knows nothing of the panel;
    it has the limits and the image of `spec`."""
    booted: Callable[[str], None] = lambda name: None
    """`(name)`: wait until the system of one that runs on `here` hears what it is asked."""
    share_names: bool = False
    """Whether, as in a cluster, what is on one of them cannot be made on the other too."""

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
    nodes.booted(stopped)
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

    def put_by_hand(name: str) -> None:
        here.seed(Spec(name, "", IMAGE, 1, 128, 1))
        here.disown(name)

    return Nodes(here, there, IMAGE, put_link, mark, put_stranger, put_by_hand)


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The panel's key and certificate."""
    return trust.make_identity(tmp_path_factory.mktemp("identity") / "panel.pem")


@pytest.fixture(scope="session")
def servers() -> Iterator[list[IncusNode]]:
    """Two Incus servers that know nothing of each other."""
    with daemons(2) as nodes:
        for node in nodes:
            node.prepare()
        yield nodes


@pytest.fixture(scope="session")
def incus_drivers(servers: list[IncusNode], identity: Path) -> list[IncusDriver]:
    """Drivers that speak to them over HTTPS, and are let into the panel's project only."""
    tokens = [trust.read_token(node.prepare()) for node in servers]
    return [IncusDriver(trust.join(token, identity)) for token in tokens]


@pytest.fixture(scope="session")
def members() -> Iterator[list[IncusNode]]:
    """`node1` and `node2`, a cluster."""
    with daemons(2) as nodes:
        make_cluster(*nodes)
        yield nodes


@pytest.fixture(scope="session")
def member_drivers(members: list[IncusNode], identity: Path) -> list[IncusDriver]:
    """A driver for each member at its own address; a cluster has one certificate."""
    joined = trust.join(trust.read_token(members[0].prepare()), identity)
    return [
        IncusDriver(replace(joined, address=f"https://{node.address}"), member=f"node{number}")
        for number, node in enumerate(members, start=1)
    ]


@pytest.fixture
def incus_nodes(servers: list[IncusNode], incus_drivers: list[IncusDriver]) -> Iterator[Nodes]:
    with contract_nodes(servers, *incus_drivers) as nodes:
        yield nodes


@pytest.fixture
def incus_socket_nodes(servers: list[IncusNode]) -> Iterator[Nodes]:
    here, there = (IncusDriver(Server(node.socket)) for node in servers)
    with contract_nodes(servers, here, there) as nodes:
        yield nodes


@pytest.fixture
def incus_cluster_nodes(
    members: list[IncusNode], member_drivers: list[IncusDriver]
) -> Iterator[Nodes]:
    with contract_nodes(members, *member_drivers) as nodes:
        yield replace(nodes, share_names=True)


@contextmanager
def contract_nodes(
    nodes: list[IncusNode], here: IncusDriver, there: IncusDriver
) -> Iterator[Nodes]:
    strangers: list[str] = []

    def put_link(name: str, path: str, target: str) -> None:
        link = f"{name}{path}"
        nodes[0].incus("file", "create", "--type=symlink", link, target, f"--project={PROJECT}")

    def mark(name: str, path: str, mode: int) -> tuple[int, int]:
        with files.session(here.client, name) as sftp:
            sftp.give(path, uid=33, gid=34, mode=mode)
        return 33, 34

    def put_stranger(name: str) -> Callable[[], bool]:
        nodes[0].incus("init", "--empty", name, f"--project={PROJECT}", "-c=user.whose=mine")
        strangers.append(name)
        return lambda: (
            "mine" in nodes[0].incus("config", "get", name, "user.whose", f"--project={PROJECT}")
        )

    def put_by_hand(name: str) -> None:
        nodes[0].make_by_hand(name, *([f"--target={here.member}"] if here.member else []))
        strangers.append(name)

    def booted(name: str) -> None:
        state = f"/1.0/instances/{name}/state"
        wait_until(lambda: here.client.get(state)["processes"] > 1)

    yield Nodes(here, there, INCUS_IMAGE, put_link, mark, put_stranger, put_by_hand, booted)
    for name in strangers:
        if nodes[0].has(name):
            nodes[0].incus("delete", "--force", name, f"--project={PROJECT}")


def install(root: Path, pace: float = 0) -> Tampered:
    return Tampered.install(root, Resources(16, 65536, 800), [IMAGE, "alpine/3.20"], pace)


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
