"""What a simulated container uses: a formula of its name and the time, believable to look at.

Every rate is a level with waves on it, which gives a daily curve and unrest, and once a day a
burst; so a counter is its integral, and nothing has to be kept to know it. A rate never falls
to zero.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from math import cos, exp, pi, sin

from containers.drivers import Spec, Usage

DAY = 86_400.0
MIB = 1024**2
GIB = 1024**3

# What the node needs for itself.
NODE_MEMORY = 1536 * MIB
NODE_DISK = 6 * GIB

# Periods in seconds, and what part of the level each may add or take; together less than all.
_UNREST = ((DAY / 14.7, 0.15), (1420.0, 0.12), (433.0, 0.10), (131.0, 0.06))
_DAILY = 0.5
_WARM_UP = 900.0


@dataclass(frozen=True)
class Course:
    """A rate over time. `waves` are period, part of the level, and phase; for `lasts` seconds
    of each day, from `begins` on, `burst` comes on top."""

    level: float
    waves: tuple[tuple[float, float, float], ...]
    burst: float
    begins: float
    lasts: float

    def total(self, at: float) -> float:
        """The integral up to a time: it only grows."""
        swung = sum(
            part * period / (2 * pi) * sin(2 * pi * at / period - phase)
            for period, part, phase in self.waves
        )
        days, into = divmod(at - self.begins, DAY)
        return self.level * (at + swung) + self.burst * (days * self.lasts + min(into, self.lasts))


@dataclass(frozen=True)
class Character:
    """How one container differs from another. `memory` and `disk` are fractions of what it has."""

    cpu: Course
    received: Course
    sent: Course
    memory: float
    disk: float
    phase: float


def usage_of(spec: Spec, booted: float, now: float) -> Usage:
    """What it uses `now`, running since `booted`; both in seconds since the epoch."""
    its = _character(spec.name)

    def since_boot(course: Course) -> float:
        return course.total(now) - course.total(booted)

    busy = cos(2 * pi * now / DAY - its.phase)
    warm = 1 - 0.5 * exp(-max(now - booted, 0) / _WARM_UP)
    memory = warm * (its.memory + 0.06 * busy + 0.02 * sin(now / 1700))
    disk = its.disk + 0.04 * cos(now / (29 * DAY) + its.phase) + 0.02 * (now / DAY % 7) / 7
    return Usage(
        cpu_seconds=spec.cpus * since_boot(its.cpu),
        memory_bytes=int(spec.memory_mb * MIB * memory),
        disk_bytes=int(spec.disk_gb * GIB * disk),
        received_bytes=int(since_boot(its.received)),
        sent_bytes=int(since_boot(its.sent)),
    )


def node_usage(running: Iterable[Usage]) -> Usage:
    """What a node uses on which these run: as Incus, it counts neither its own processor time
    nor its own network."""
    all_of_them = list(running)
    return Usage(
        cpu_seconds=None,
        memory_bytes=NODE_MEMORY + sum(usage.memory_bytes for usage in all_of_them),
        disk_bytes=NODE_DISK + sum(usage.disk_bytes or 0 for usage in all_of_them),
        received_bytes=None,
        sent_bytes=None,
    )


@cache
def _character(name: str) -> Character:
    dice = random.Random(name)  # noqa: S311
    # Most have little to do, and a few have much.
    level = 0.015 + 0.35 * dice.random() ** 2
    phase = 2 * pi * dice.uniform(0.5, 0.9)  # busiest between noon and night
    begins, lasts = dice.uniform(0, DAY / 4), dice.uniform(600, 2400)

    def course(level: float, burst: float) -> Course:
        waves = [(DAY, _DAILY, phase)]
        waves += [(period, part, dice.uniform(0, 2 * pi)) for period, part in _UNREST]
        return Course(level, tuple(waves), burst, begins, lasts)

    requests = level * dice.uniform(20_000, 400_000)
    return Character(
        cpu=course(level, burst=dice.uniform(0.05, 0.25)),
        received=course(requests, burst=requests),
        sent=course(requests * dice.uniform(1.5, 9), burst=requests * dice.uniform(4, 40)),
        memory=dice.uniform(0.25, 0.7),
        disk=dice.uniform(0.1, 0.55),
        phase=phase,
    )
