"""The addresses of running containers: Incus looks each up in the container itself, which takes
tens of milliseconds, so they are asked for now and then, and remembered. The measuring of usage
asks for the same state, and so learns addresses too."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable

from containers.drivers import Power

from .instances import IncusInstance

_AT_ONCE = 3
# Seconds until a container without a known address is asked again, and one with a known address,
# which may have changed: after more than a minute, as usually the measuring of usage asks before.
_PAUSE, _AGAIN = 10.0, 90.0


class Addresses:
    """The addresses on one node. May be shared between threads."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}
        self._asked: dict[tuple[str, str], float] = {}

    def of(self, found: IncusInstance) -> str:
        """The address that it had when it was last asked, in this run of it; "" if none."""
        return self._known.get(_run(found), "") if found.power is Power.RUNNING else ""

    def learn(self, found: IncusInstance) -> None:
        """Remember the address of an instance that was read with its state."""
        self._known[_run(found)] = found.address
        self._asked[_run(found)] = time.monotonic()

    def due(self, listed: Iterable[IncusInstance]) -> list[IncusInstance]:
        """The few to ask now of those that run, the longest unasked first. What is not listed any
        more is forgotten."""
        runs = {_run(found): found for found in listed if found.power is Power.RUNNING}
        self._known = {run: told for run, told in list(self._known.items()) if run in runs}
        asked = {run: self._asked.get(run, -math.inf) for run in runs}
        now = time.monotonic()
        waiting = [
            run
            for run in sorted(asked, key=asked.__getitem__)
            if asked[run] <= now - (_AGAIN if self._known.get(run) else _PAUSE)
        ]
        self._asked = asked | dict.fromkeys(waiting[:_AT_ONCE], now)
        return [runs[run] for run in waiting[:_AT_ONCE]]


def _run(found: IncusInstance) -> tuple[str, str]:
    """Tells one run of an instance, from its start to its stop, from all others."""
    return found.name, str(found.raw["last_used_at"])
