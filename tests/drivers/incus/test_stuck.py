"""What hangs on an Incus server: a container that does costs the others nothing, a move that does
has an end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from itertools import count
from pathlib import Path

import pytest

from containers.drivers import Conflict, Power, Spec, Unreachable
from containers.drivers.incus import IncusDriver
from tests.drivers.conftest import finish, refusal
from tests.incus_node import IMAGE, IncusNode

pytestmark = pytest.mark.incus

_numbers = count(1)


@contextmanager
def several_running(driver: IncusDriver) -> Iterator[list[str]]:
    names = [f"ct-{os.getpid()}-s{next(_numbers)}" for _ in range(3)]
    try:
        for name in names:
            finish(driver.create(Spec(name, "web.example.org", IMAGE, 1, 64, 1)))
            finish(driver.start(name))
        yield names
    finally:
        for name in names:
            finish(driver.stop(name, force=True))
            finish(driver.delete(name))


@contextmanager
def stuck(node: IncusNode, name: str) -> Iterator[None]:
    """As the system's own monitor of a container is that waits for a dead disk."""
    monitors = [pid for pid in node.processes() if _is_monitor(pid, name)]
    assert monitors
    for pid in monitors:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in monitors:
            os.kill(pid, signal.SIGCONT)


def _is_monitor(pid: int, name: str) -> bool:
    words = Path(f"/proc/{pid}/cmdline").read_bytes()
    return b"lxc monitor" in words and f"_{name}\0".encode() in words


def test_a_container_that_hangs_does_not_take_its_node_away(
    servers: list[IncusNode], incus_drivers: list[IncusDriver]
) -> None:
    with several_running(incus_drivers[0]) as names:
        # A quarter of it is all that each of the others gets.
        watching = IncusDriver(replace(incus_drivers[0].server, timeout=8))
        before = watching.instances()
        assert all(before[name].power is Power.RUNNING for name in names)
        with stuck(servers[0], names[0]):
            start = time.monotonic()
            seen = watching.instances()
            assert time.monotonic() - start < watching.timeout
            assert [seen[name].power for name in names] == [
                Power.ERROR,
                Power.RUNNING,
                Power.RUNNING,
            ]
            start = time.monotonic()
            used = watching.usage()
            assert time.monotonic() - start < 2 * watching.timeout
            assert {"", *names[1:]} <= used.keys()
            assert names[0] not in used
            assert watching.unfinished() == {names[0]: False}
        assert watching.instances() == before


def test_a_member_of_a_cluster_is_there_with_a_container_that_hangs(
    members: list[IncusNode], member_drivers: list[IncusDriver]
) -> None:
    with several_running(member_drivers[0]) as names, stuck(members[0], names[1]):
        start = time.monotonic()
        seen = member_drivers[0].instances()
        assert time.monotonic() - start < 2 * member_drivers[0].timeout
        assert [seen[name].power for name in names] == [Power.RUNNING, Power.ERROR, Power.RUNNING]


def test_a_server_that_hangs_as_a_whole_is_not_asked_of_each(
    servers: list[IncusNode], incus_drivers: list[IncusDriver]
) -> None:
    with several_running(incus_drivers[0]):
        servers[0].pause()
        try:
            for look in (incus_drivers[0].instances, incus_drivers[0].usage):
                start = time.monotonic()
                with pytest.raises(Unreachable):
                    look()
                assert time.monotonic() - start < 2 * incus_drivers[0].timeout
        finally:
            servers[0].resume()


@pytest.fixture
def slow(members: list[IncusNode]) -> Iterator[None]:
    """The line between the members of the cluster."""
    members[0].incus("storage", "set", "default", "rsync.bwlimit=1MB")
    yield
    members[0].incus("storage", "unset", "default", "rsync.bwlimit")


def test_a_move_in_a_cluster_is_seen_copying_and_ends_once_it_is_given_up(
    member_drivers: list[IncusDriver], slow: None
) -> None:
    here, there = member_drivers
    name = f"ct-{os.getpid()}-s{next(_numbers)}"
    finish(here.create(Spec(name, "web.example.org", IMAGE, 1, 64, 1)))
    here.write_file(name, "/root/much", BytesIO(os.urandom(60 * 10**6)))
    start = time.monotonic()
    moving = here.move(name, there)
    assert any(progress.copied for progress in moving)
    assert isinstance(refusal(here.start(name)), Conflict)
    finish(here.give_up_move(name, there))
    finish(here.start(name))
    assert time.monotonic() - start < 45, "it has waited for all to be copied"
    assert [driver.instance(name) is None for driver in member_drivers] == [False, True]
    finish(here.stop(name, force=True))
    finish(here.delete(name))
