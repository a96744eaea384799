"""Incus starts and stops what boots slowly, hears nothing, or was paused behind our back."""

from __future__ import annotations

from io import BytesIO

import pytest

from containers.drivers import Power
from containers.drivers.incus import IncusDriver, files
from containers.drivers.incus.operations import Doing, under_way
from tests.drivers.conftest import finish, walk_away
from tests.incus_node import PROJECT, IncusNode, wait_until

from .conftest import power, spec

pytestmark = pytest.mark.incus


def test_an_operation_under_way_is_joined_and_not_begun_again(
    driver: IncusDriver, running: str
) -> None:
    walk_away(driver.stop(running))
    again = IncusDriver(driver.server)
    work = again.stop(running)
    next(work)
    stopping = [each for each in under_way(again.client, running) if each.doing == Doing.STOP]
    assert len(stopping) == 1
    finish(work)
    assert power(driver, running) is Power.STOPPED


def test_a_system_that_does_not_hear_the_first_request_to_stop_is_asked_again(
    driver: IncusDriver, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("containers.drivers.incus.driver.ASK_AGAIN_AFTER", 2)
    finish(driver.create(spec(name)))
    slow = b"#!/bin/busybox sh\n/bin/busybox sleep 3\nexec /bin/busybox init\n"
    driver.remove(name, "/sbin/init")
    driver.write_file(name, "/sbin/init", BytesIO(slow))
    with files.session(driver.client, name) as sftp:
        sftp.give("/sbin/init", uid=0, gid=0, mode=0o755)
    finish(driver.start(name))
    finish(driver.stop(name))
    seen = driver.instance(name)
    assert seen is not None
    assert seen.power is Power.STOPPED


def test_a_stubborn_system_stops_by_force_only(
    node: IncusNode, driver: IncusDriver, name: str
) -> None:
    finish(driver.create(spec(name)))
    driver.remove(name, "/sbin/init")
    deaf = b"#!/bin/sh\ntrap '' PWR USR1 USR2 TERM INT HUP\nwhile :; do sleep 1; done\n"
    driver.write_file(name, "/sbin/init", BytesIO(deaf))
    with files.session(driver.client, name) as sftp:
        sftp.give("/sbin/init", uid=0, gid=0, mode=0o755)
    finish(driver.start(name))
    gentle = driver.stop(name)
    assert [next(gentle).percent for _ in range(3)] == [None] * 3
    assert power(driver, name) is Power.RUNNING
    finish(driver.stop(name, force=True))
    finish(gentle)
    assert power(driver, name) is Power.STOPPED


def test_what_is_paused_goes_on_when_it_is_started_or_asked_to_stop(
    node: IncusNode, driver: IncusDriver, running: str
) -> None:
    state = f"/1.0/instances/{running}/state"
    wait_until(lambda: driver.client.get(state)["processes"] > 1)
    node.incus("pause", running, f"--project={PROJECT}")
    finish(driver.start(running))
    assert driver.client.get(f"/1.0/instances/{running}")["status"] == "Running"
    node.incus("pause", running, f"--project={PROJECT}")
    finish(driver.stop(running))
    assert power(driver, running) is Power.STOPPED


def test_what_is_claimed_outlives_its_stop(node: IncusNode, driver: IncusDriver, name: str) -> None:
    node.make_by_hand(name, "--ephemeral")
    driver.claim(name, {})
    finish(driver.start(name))
    finish(driver.stop(name, force=True))
    assert power(driver, name) is Power.STOPPED
