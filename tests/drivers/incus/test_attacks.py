"""What the owner of a container puts on its disk leads nowhere: real disks, real server."""

from __future__ import annotations

import os
import socket
import stat
import threading
from io import BytesIO
from pathlib import Path

import pytest

from containers.drivers import BadPath, DriverError, FileKind
from containers.drivers.incus import IncusDriver
from tests.drivers.conftest import Nodes
from tests.incus_node import PROJECT, IncusNode

pytestmark = pytest.mark.incus

SECRET = b"the server's own"
TRIES = 20


@pytest.fixture
def nodes(incus_nodes: Nodes) -> Nodes:
    return incus_nodes


@pytest.fixture
def driver(nodes: Nodes) -> IncusDriver:
    assert isinstance(nodes.here, IncusDriver)
    return nodes.here


@pytest.fixture
def disk(servers: list[IncusNode], stopped: str) -> Path:
    """Its root, as the server sees it: here an attack is made from within."""
    return servers[0].folder / f"storage-pools/default/containers/{PROJECT}_{stopped}/rootfs"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the server, as the attacker would like to have it or its place."""
    file = tmp_path / "secret"
    file.write_bytes(SECRET)
    return file


def all_of(driver: IncusDriver, name: str, path: str) -> bytes:
    return b"".join(driver.read_file(name, path))


def test_pipes_devices_and_sockets_are_shown_and_never_opened(
    driver: IncusDriver, stopped: str, disk: Path
) -> None:
    box = disk / "box"
    box.mkdir()
    os.mkfifo(box / "pipe")
    os.mknod(box / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    os.mknod(box / "disk", stat.S_IFBLK | 0o666, os.makedev(7, 0))
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"/proc/self/fd/{os.open(box, os.O_RDONLY)}/socket")
    found = {info.name: info.kind for info in driver.list_folder(stopped, "/box")}
    assert found == dict.fromkeys(["pipe", "zero", "disk", "socket"], FileKind.OTHER)
    for name in found:
        with pytest.raises(BadPath):
            all_of(driver, stopped, f"/box/{name}")
        with pytest.raises(BadPath):
            driver.write_file(stopped, f"/box/{name}", BytesIO(b"mine"))
        driver.remove(stopped, f"/box/{name}")
    assert not list(box.iterdir())
    listening.close()


def test_a_link_that_is_swapped_in_meanwhile_does_not_lead_out(
    driver: IncusDriver, stopped: str, disk: Path, secret: Path
) -> None:
    """A folder turns into a link to a folder of the server and back, as fast as it can, while
    the panel looks at what is in it, reads, writes, renames and removes."""
    real, link, box = disk / "real", disk / "link", disk / "box"
    real.mkdir()
    (real / "secret").write_bytes(b"the container's")
    link.symlink_to(secret.parent)
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            real.rename(box)
            box.rename(real)
            link.rename(box)
            box.rename(link)

    swapping = threading.Thread(target=swap)
    swapping.start()
    read = set()
    try:
        for attempt in range(TRIES):
            for ask in (
                lambda: read.add(all_of(driver, stopped, "/box/secret")),
                lambda: driver.write_file(stopped, "/box/secret", BytesIO(b"mine")),
                lambda n=attempt: driver.make_folder(stopped, f"/box/new-{n}"),
                lambda: driver.rename(stopped, "/box/secret", "/box/renamed"),
                lambda: driver.rename(stopped, "/box/renamed", "/box/secret"),
                lambda: driver.remove(stopped, "/box/secret"),
            ):
                try:
                    ask()
                except DriverError:
                    continue
    finally:
        done.set()
        swapping.join()
    assert SECRET not in read
    assert secret.read_bytes() == SECRET
    assert list(secret.parent.iterdir()) == [secret]


def test_of_two_names_for_one_file_only_the_one_that_is_named_changes(
    driver: IncusDriver, stopped: str, disk: Path
) -> None:
    (disk / "one").write_bytes(b"shared")
    (disk / "other").hardlink_to(disk / "one")
    driver.write_file(stopped, "/one", BytesIO(b"mine"))
    assert (disk / "other").read_bytes() == b"shared"
    driver.remove(stopped, "/one")
    assert (disk / "other").read_bytes() == b"shared"


def test_a_program_that_runs_as_its_owner_is_out_of_reach_of_other_users_of_the_server(
    driver: IncusDriver, stopped: str, disk: Path
) -> None:
    """Where the kernel maps owners only as it mounts, root's files are root's on the disk too."""
    (disk / "program").write_bytes(b"#!/bin/sh\n")
    (disk / "program").chmod(0o4755)
    driver.write_file(stopped, "/program", BytesIO(b"#!/bin/sh\necho mine\n"))
    assert not stat.S_IMODE(disk.parent.stat().st_mode) & 0o077


@pytest.mark.parametrize("path", ["/../secret", "/box/../../../secret", "/./../.."])
def test_no_way_up_leads_out(
    path: str, driver: IncusDriver, stopped: str, disk: Path, secret: Path
) -> None:
    (disk.parent / "secret").write_bytes(SECRET)
    with pytest.raises(BadPath):
        all_of(driver, stopped, path)
    with pytest.raises(BadPath):
        driver.remove(stopped, path)
    assert (disk.parent / "secret").read_bytes() == SECRET
