"""Two Incus servers of which a test may kill or hang up the first, and a container there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import count

import pytest

from containers.drivers import NoSuchInstance, Power, Spec
from containers.drivers.incus import IncusDriver
from tests.drivers.conftest import finish
from tests.incus_node import IMAGE, PROJECT, IncusNode

_numbers = count(1)


@pytest.fixture
def node(servers: list[IncusNode]) -> Iterator[IncusNode]:
    """A server that may be killed or hung up: it is put right afterwards."""
    yield servers[0]
    put_right(servers[0])


def put_right(node: IncusNode) -> None:
    """What a test may have done to it is over."""
    node.resume()
    if not node.is_up:
        node.start()


@pytest.fixture
def driver(incus_drivers: list[IncusDriver]) -> IncusDriver:
    return incus_drivers[0]


@pytest.fixture
def other(incus_drivers: list[IncusDriver]) -> IncusDriver:
    return incus_drivers[1]


@pytest.fixture
def name(node: IncusNode, incus_drivers: list[IncusDriver]) -> Iterator[str]:
    fresh = f"ct-{os.getpid()}-x{next(_numbers)}"
    yield fresh
    put_right(node)
    for driver in incus_drivers:
        with suppress(NoSuchInstance):
            finish(driver.stop(fresh, force=True))
        finish(driver.delete(fresh))


@pytest.fixture
def running(driver: IncusDriver, name: str) -> str:
    finish(driver.create(spec(name)))
    finish(driver.start(name))
    return name


def spec(name: str, **other: object) -> Spec:
    made = Spec(name, "web.example.org", IMAGE, 1, 128, 1, "ssh-ed25519 AAAAC3 lena")
    return replace(made, **other)  # type: ignore[arg-type]


def power(driver: IncusDriver, name: str) -> Power | None:
    found = driver.instance(name)
    return found.power if found else None


def put_half_made(node: IncusNode, name: str) -> None:
    """As a daemon leaves it that is killed while it unpacks."""
    marks = ["-c=user.berth.id=1", "-c=user.berth.state=new"]
    node.incus("init", "--empty", name, f"--project={PROJECT}", *marks)
    node.incus("config", "unset", name, "volatile.apply_template", f"--project={PROJECT}")


def questions(driver: IncusDriver, name: str) -> list[Callable[[], object]]:
    return [
        driver.resources,
        driver.images,
        driver.instances,
        driver.usage,
        lambda: driver.instance(name),
        lambda: finish(driver.create(spec(name))),
        lambda: finish(driver.start(name)),
        lambda: finish(driver.stop(name)),
        lambda: finish(driver.delete(name)),
        lambda: driver.list_folder(name, "/"),
    ]
