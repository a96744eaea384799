"""Who is killed when: at random points, for random times, the same for the same seed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections

from containers.drivers.simulated import Faults
from tests.incus_node import wait_until
from tests.soak.database import Database
from tests.soak.takeup import Takeups
from tests.soak.world import World

# Seconds between two looks at what is due.
BEAT = 0.1
# After so many seconds of chaos a worker is killed while all else is well, to see the lease.
QUIET_EVERY = 60.0


@dataclass(frozen=True)
class Fault:
    """One way to break one thing. `kind` is what the report counts, `on` what is broken; it
    lasts from `least` to `most` seconds. `kills`: by SIGKILL."""

    kind: str
    on: str
    breaks: Callable[[], object]
    mends: Callable[[], object]
    weight: float
    least: float = 0.2
    most: float = 3.0
    kills: bool = False


@dataclass
class Chaos:
    """Breaks and mends until the time is over. `outages` say what was gone from when
    until pages were served again; `fallen` counts what ended by itself."""

    world: World
    database: Database
    dice: Random
    pause: float
    takeups: Takeups = field(default_factory=Takeups)
    injected: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    fallen: Counter[str] = field(default_factory=Counter)
    outages: list[tuple[str, float, float]] = field(default_factory=list)
    _broken: dict[str, tuple[float, float, Fault]] = field(default_factory=dict)
    _coming_back: list[tuple[str, float]] = field(default_factory=list)

    def run(self, seconds: float, *, quiet_every: float = QUIET_EVERY) -> None:
        """Everything is mended when this returns."""
        faults = self._faults()
        end = time.monotonic() + seconds
        next_strike = time.monotonic() + self.pause
        next_quiet = time.monotonic() + quiet_every
        while (now := time.monotonic()) < end:
            self._mend_what_is_due(now)
            self._see_who_is_back()
            self.fallen.update(self.world.revive(self._broken))
            self.takeups.look()
            if now >= next_quiet:
                self._heal()
                self._kill_a_worker_alone()
                next_quiet = time.monotonic() + quiet_every
                next_strike = time.monotonic()
            elif now >= next_strike:
                free = [fault for fault in faults if fault.on not in self._broken]
                weights = [fault.weight for fault in free]
                self._strike(self.dice.choices(free, weights)[0])
                next_strike = now + self.dice.uniform(0.3, 1.7) * self.pause
            time.sleep(BEAT)
        self._heal()
        wait_until(self.world.answers, 60)
        self._see_who_is_back()

    def _strike(self, fault: Fault) -> None:
        lasts = self.dice.uniform(fault.least, fault.most)
        self.takeups.disturb()
        pid = self.world.processes[fault.on].pid if fault.on.startswith("worker") else 0
        began = time.time()
        fault.breaks()
        self.injected[fault.kind] += 1
        self.kills += fault.kills
        self._broken[fault.on] = (time.monotonic() + lasts, began, fault)
        if pid:
            self._note_what_it_left(pid, alone=False)

    def _note_what_it_left(self, pid: int, *, alone: bool) -> int:
        try:
            return self.takeups.left_by(pid, alone=alone)
        except (DatabaseError, InterfaceError):
            connections.close_all()
            return 0

    def _mend_what_is_due(self, now: float) -> None:
        for on, (due, began, fault) in list(self._broken.items()):
            if now >= due:
                fault.mends()
                del self._broken[on]
                self._coming_back.append((on, began))

    def _see_who_is_back(self) -> None:
        """What was mended is back once pages are served again."""
        if self._coming_back and self.world.answers():
            now = time.time()
            self.outages += [(on, began, now) for on, began in self._coming_back]
            self._coming_back.clear()

    def _heal(self) -> None:
        self._mend_what_is_due(float("inf"))

    def _kill_a_worker_alone(self) -> None:
        """Wait until one has something to do and all is well, kill it, and start it again."""
        name = self.dice.choice(["worker-1", "worker-2"])
        worker = self.world.processes[name]
        time.sleep(4)
        lease = settings.LEASE.total_seconds()
        patience = time.monotonic() + lease
        while time.monotonic() < patience:
            worker_pid = worker.pid
            worker.kill()
            self.injected["worker killed"] += 1
            self.kills += 1
            left = self._note_what_it_left(worker_pid, alone=True)
            worker.start()
            if left:
                break
            time.sleep(2)
        until = time.monotonic() + lease + 4
        while time.monotonic() < until:
            self._see_who_is_back()
            self.takeups.look()
            time.sleep(BEAT)

    def _faults(self) -> list[Fault]:
        weights = {"web": 14, "worker-1": 15, "worker-2": 15, "watcher": 12}
        found = [
            Fault(f"{name.partition('-')[0]} killed", name, process.kill, process.start,
                  weights[name], kills=True)
            for name, process in self.world.processes.items()
        ]  # fmt: skip
        for name, daemon in self.world.daemons.items():
            restart = partial(self.world.restart, daemon)
            found.append(Fault("Incus killed", name, daemon.kill, restart, 8, most=8, kills=True))
            found.append(
                Fault("Incus hanging", name, daemon.pause, daemon.resume, 2, least=2, most=15)
            )
        for name, line in self.world.lines.items():
            found.append(Fault("connection cut", f"line {name}", line.cut, line.mend, 8, most=6))
        for name, driver in self.world.simulated.items():
            for fault in ("unplugged", "hanging", "slow", "failing", "full"):
                breaks = partial(driver.set_faults, Faults(**{fault: True}))
                mends = partial(self.world.mend, name)
                found.append(Fault(f"simulated node {fault}", name, breaks, mends, 1, 2, 15))
        stop, start = self.database.stop, self.database.start
        crash = partial(stop, crash=True)
        found.append(Fault("database restarted", "database", stop, start, 4))
        found.append(Fault("database crashed", "database", crash, start, 4))
        return found
