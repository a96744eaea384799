"""A simulated node on which something happens by itself, and which says what was done to it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from uuid import uuid4

from containers import connect
from containers.drivers import NoSuchInstance, Power
from containers.drivers.simulated import SimulatedDriver
from containers.drivers.simulated.store import read_config, read_state, write_config, write_state
from containers.models import Node

_HAPPENS = {Power.RUNNING: "started", Power.STOPPED: "stopped"}


class Tampered(SimulatedDriver):
    """A simulated node, and somebody who sits in front of it."""

    def journal(self) -> list[dict[str, str]]:
        """Every effect that took place, oldest first: `at`, `instance`, `did`, `work`."""
        with self._node.locked():
            lines = self._node.journal.read_text().splitlines()
        return [json.loads(line) for line in lines]

    def set_pace(self, pace: float) -> None:
        """The pace of what begins from now on. What is under way is done at once, unless it has a
        pace of its own or no end."""
        with self._node.locked():
            self._node.configure(replace(self._node.settings(), pace=pace))
            for name in self._node.names():
                for folder in (self._node.creating / name, self._node.instances / name):
                    state = read_state(folder)
                    if state is None or state.work is None or state.work.until is None:
                        continue
                    if read_config(folder).pace is None:
                        state.work.until = time.time()
                        write_state(folder, state)

    def ignore_stops(self, name: str) -> None:
        """Have its system ignore a gentle stop for ever, if it is here."""
        with self._node.locked():
            if self._node.state(name):
                config = replace(self._node.config(name), stubborn=True)
                write_config(self._node.instances / name, config)

    def doing(self) -> list[str]:
        """What is under way on what is whole."""
        with self._node.locked():
            states = [self._node.state(name) for name in self._node.names()]
        return [state.work.doing for state in states if state and state.work]

    def power(self, name: str, power: Power) -> None:
        """Start or stop it there, whatever was under way."""
        with self._node.locked():
            state = self._node.settle(name) or self._node.state_of_any(name)
            if state is None:
                raise NoSuchInstance(f"{self.root.name} has no {name}")
            if power is not state.power and power in _HAPPENS:
                self._node.record(name, _HAPPENS[power], uuid4().hex)
            state.set_power(power)
            state.work = None
            self._node.save(name, state)

    def disown(self, name: str) -> None:
        """Have it be one that somebody has made there by hand."""
        with self._node.locked():
            state = self._node.state_of_any(name)
            assert state is not None
            state.by_hand = True
            self._node.save(name, state)

    def lose(self, name: str) -> None:
        """Delete it there."""
        with self._node.locked():
            if self._node.settle(name) or self._node.state_of_any(name):
                self._node.record(name, "deleted", uuid4().hex)
                self._node.discard(self._node.instances / name)

    def give_name(self, name: str, to: str) -> None:
        """Rename it there, where it is not busy and the name is free."""
        with self._node.locked():
            state = self._node.settle(name)
            if state and not state.work and self._node.is_free(to):
                config = self._node.config(name)
                config = replace(config, spec=replace(config.spec, name=to))
                write_config(self._node.instances / name, config)
                (self._node.instances / name).rename(self._node.instances / to)


def simulated(node: Node) -> Tampered:
    """The driver of a simulated node, as `containers.connect` makes it, with all that."""
    driver = connect.simulated(node)
    return Tampered(driver.root, timeout=driver.timeout)
