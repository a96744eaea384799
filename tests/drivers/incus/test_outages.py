"""An Incus server that is killed or hangs: whoever asks hears so soon, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from containers.drivers import DriverError, Power, Unreachable
from containers.drivers.incus import IncusDriver, Server
from containers.drivers.incus.about import describe
from containers.drivers.incus.news import events
from tests.drivers.conftest import PATIENCE, finish, refusal
from tests.incus_node import PROJECT, IncusNode, wait_until

from .conftest import power, questions, spec

pytestmark = pytest.mark.incus


def test_containers_of_a_killed_daemon_run_on_and_are_seen_again(
    node: IncusNode, driver: IncusDriver, running: str
) -> None:
    pid = node.query(f"/1.0/instances/{running}/state?project={PROJECT}")["pid"]
    node.kill()
    start = time.monotonic()
    for question in questions(driver, running):
        with pytest.raises(Unreachable):
            question()
    assert time.monotonic() - start < driver.timeout
    assert Path(f"/proc/{pid}").exists()
    node.start()
    assert driver.instances()[running].power is Power.RUNNING
    assert Path(f"/proc/{pid}").exists()


def test_a_daemon_that_hangs_keeps_one_waiting_no_longer_than_the_time_out(
    node: IncusNode, driver: IncusDriver, running: str
) -> None:
    impatient = IncusDriver(replace(driver.server, timeout=2))
    assert impatient.instances()
    fresh = IncusDriver(replace(driver.server, timeout=2))
    local = IncusDriver(Server(node.socket, timeout=2))
    node.pause()
    for question in (
        impatient.instances,
        lambda: finish(fresh.stop(running)),
        lambda: local.list_folder(running, "/"),
    ):
        start = time.monotonic()
        with pytest.raises(Unreachable):
            question()
        assert time.monotonic() - start < 2 * impatient.timeout
    node.resume()
    assert impatient.instances()[running].power is Power.RUNNING


def test_work_that_is_followed_notices_that_the_daemon_is_gone(
    node: IncusNode, driver: IncusDriver, running: str
) -> None:
    work = driver.stop(running)
    next(work)
    node.kill()
    assert isinstance(refusal(work), Unreachable)
    node.start()
    finish(driver.stop(running, force=True))
    assert power(driver, running) is Power.STOPPED


@pytest.mark.parametrize("local", [False, True])
def test_news_come_as_they_happen(
    node: IncusNode, driver: IncusDriver, name: str, local: bool
) -> None:
    server = Server(node.socket) if local else driver.server
    with asyncio.Runner() as runner:
        news = events(server)

        def told() -> str:
            return runner.run(asyncio.wait_for(anext(news), PATIENCE))

        assert told() == ""
        for happens in (
            lambda: finish(driver.create(spec(name))),
            lambda: finish(driver.start(name)),
            lambda: node.incus("stop", "--force", name, f"--project={PROJECT}"),
            lambda: finish(driver.delete(name)),
        ):
            happens()
            assert told() == ""
        node.kill()
        with pytest.raises(Unreachable):
            list(iter(told, None))


@pytest.fixture
def second_pool(members: list[IncusNode]) -> Iterator[str]:
    """Another storage pool of the cluster."""
    for target in ("--target=node1", "--target=node2"):
        members[0].incus("storage", "create", "second", "dir", target)
    members[0].incus("storage", "create", "second", "dir")
    yield "second"
    members[0].incus("storage", "delete", "second")


def test_a_member_that_hangs_or_dies_does_not_hold_up_the_others(
    members: list[IncusNode], member_drivers: list[IncusDriver], second_pool: str
) -> None:
    first, second = member_drivers
    name = f"ct-{os.getpid()}-out"
    finish(second.create(spec(name)))
    elsewhere = IncusDriver(second.server, member="node2", pool=second_pool)
    finish(elsewhere.create(spec(f"{name}-elsewhere")))
    finish(first.create(spec(f"{name}-first")))
    through_first = IncusDriver(first.server, member="node2")
    assert through_first.instances().keys() == {name, f"{name}-elsewhere"}
    try:
        members[1].pause()
        start = time.monotonic()
        assert first.instances().keys() == {f"{name}-first"}
        assert time.monotonic() - start < first.timeout
        members[1].resume()
        members[1].kill()
        start = time.monotonic()
        for driver in (second, through_first):
            with pytest.raises(Unreachable):
                driver.instances()
            with pytest.raises(Unreachable):
                driver.instance(name)
        assert first.instances().keys() == {f"{name}-first"}
        assert time.monotonic() - start < 20
    finally:
        members[1].resume()
        members[1].start()

    def are_seen_again() -> bool:
        with suppress(DriverError):
            return bool(second.instances() and through_first.instances())
        return False

    wait_until(are_seen_again)
    assert power(second, name) is Power.STOPPED
    for driver, there in ((second, name), (second, f"{name}-elsewhere"), (first, f"{name}-first")):
        finish(driver.delete(there))
    about = describe(first.client)
    assert [member.name for member in about.members] == ["node1", "node2"]
    assert about.members[1].address == second.server.address
