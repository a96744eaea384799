"""How long the work of a killed worker lies until another takes it up."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from django.db import DatabaseError, InterfaceError, connections

from containers.models import Operation
from containers.statuses import Status


@dataclass
class Left:
    """An Operation whose worker was killed at `at`. `alone`: nothing else was broken until it
    was taken up; otherwise the time says nothing about the lease."""

    at: float
    held_by: str
    alone: bool


@dataclass
class Takeups:
    """Times in seconds from the kill to the next attempt."""

    undisturbed: list[float] = field(default_factory=list)
    disturbed: list[float] = field(default_factory=list)
    _left: dict[int, Left] = field(default_factory=dict)

    def left_by(self, pid: int, *, alone: bool) -> int:
        """Note what a worker held that has just been killed; returns how much that was."""
        at = time.time()
        held = Operation.objects.open().filter(
            held_by__contains=f":{pid}:", held_until__isnull=False
        )
        found = dict(held.exclude(container__status=Status.OFFLINE).values_list("pk", "held_by"))
        for pk, held_by in found.items():
            self._left[pk] = Left(at, held_by, alone)
        return len(found)

    def disturb(self) -> None:
        """Something else breaks now."""
        for left in self._left.values():
            left.alone = False

    def look(self) -> None:
        """Note what has been taken up since the last look. A database that is not there is
        asked again the next time."""
        if not self._left:
            return
        try:
            rows = list(
                Operation.objects.filter(pk__in=self._left).values_list(
                    "pk", "held_by", "container__status"
                )
            )
        except (DatabaseError, InterfaceError):
            connections.close_all()
            return
        for pk, held_by, status in rows:
            left = self._left[pk]
            left.alone &= status != Status.OFFLINE
            if held_by and held_by != left.held_by:
                times = self.undisturbed if left.alone else self.disturbed
                times.append(time.time() - left.at)
                del self._left[pk]
