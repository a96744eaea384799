"""Nothing but counting, in so many processes at once: how evenly the machine itself works.

What shares a core with others waits for them, and beside it so does whoever else is on the same
hardware. No page can be more even than this.
"""

from __future__ import annotations

import multiprocessing
import time

# As much as takes about as long as a page.
MUCH = 150_000


def turns_of(processes: int, seconds: float) -> list[float]:
    """How long each turn of counting took (s), of so many who count without a pause."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        found = pool.map(_count, [seconds] * processes, chunksize=1)
    return [turn for turns in found for turn in turns]


def _count(seconds: float) -> list[float]:
    turns: list[float] = []
    until = time.monotonic() + seconds
    while (began := time.monotonic()) < until:
        met: dict[int, str] = {}
        for number in range(MUCH):
            met[number % 1000] = str(number)
        turns.append(time.monotonic() - began)
    return turns
