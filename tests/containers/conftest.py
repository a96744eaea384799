"""Steps of work that a test plays itself, to be in the middle of it, and nodes that cannot tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from containers.drivers import Instance, Power
from containers.drivers.simulated import SimulatedDriver
from containers.observe import Watcher
from containers.operations import carrying, work
from tests.containers.acts import Steps


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease is renewed at each sign of life, not only once a second."""
    monkeypatch.setattr(carrying, "PULSE", 0)


@pytest.fixture
def instead(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Steps], None]:
    """`instead("start", steps)`: the steps of a kind of work, played by the test."""

    def play(kind: str, steps: Steps) -> None:
        monkeypatch.setitem(work.STEPS, kind, steps)

    return play


@pytest.fixture
def meanwhile(instead: Any, every_step: None) -> Callable[[str, Callable[[], None]], None]:
    """`meanwhile("stop", act)`: something that happens once while the node is at work."""

    def play(kind: str, act: Callable[[], None]) -> None:
        real = work.STEPS[kind]
        acted: list[bool] = []

        def steps(job: work.Job) -> Iterator[Any]:
            for step in real(job):
                yield step
                if not acted:
                    acted.append(True)
                    act()

        instead(kind, steps)

    return play


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
def cannot_tell(monkeypatch: pytest.MonkeyPatch) -> Callable[[Power | None], None]:
    """`cannot_tell(Power.ERROR)`: what nodes say of all that is on them; None: the truth again."""
    one, every = SimulatedDriver.instance, SimulatedDriver.instances
    says: list[Power | None] = [None]

    def told(seen: Instance) -> Instance:
        return replace(seen, power=says[0] or seen.power)

    def instance(driver: SimulatedDriver, name: str) -> Instance | None:
        seen = one(driver, name)
        return told(seen) if seen else None

    def instances(driver: SimulatedDriver) -> dict[str, Instance]:
        return {name: told(seen) for name, seen in every(driver).items()}

    monkeypatch.setattr(SimulatedDriver, "instance", instance)
    monkeypatch.setattr(SimulatedDriver, "instances", instances)

    def say(power: Power | None) -> None:
        says[0] = power

    return say
