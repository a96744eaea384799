"""The geometry of a chart over time: averages, scales and paths. Knows nothing of what it draws.

A chart is as many units wide as it has buckets, and 100 high; it is stretched to its place.
What has no value is a gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby

HEIGHT = 100.0

Values = Sequence[float | None]

# What the top of a scale may be. Bytes go by powers of 1024.
ROUND = [step * 10.0**power for power in range(-1, 15) for step in (1, 2, 5)]
ROUND_BYTES = [
    step * 1024.0**power for power in range(6) for step in (1, 2, 5, 10, 20, 50, 100, 200, 500)
]


def averages(
    samples: Iterable[tuple[datetime, float, float | None]],
    start: datetime,
    step: timedelta,
    count: int,
) -> list[float | None]:
    """The weighted average of the samples in each of `count` buckets of one `step`.

    A sample is when, its weight, and its value; one without a value, or outside, is left out.
    A bucket without samples is None.
    """
    weights, sums = [0.0] * count, [0.0] * count
    for at, weight, value in samples:
        bucket = (at - start) // step
        if value is not None and 0 <= bucket < count:
            weights[bucket] += weight
            sums[bucket] += weight * value
    return [added / weight if weight else None for added, weight in zip(sums, weights, strict=True)]


def top_of(values: Iterable[float | None], choices: Sequence[float], least: float = 0) -> float:
    """The end of a scale: the smallest choice that is enough for all values and for `least`."""
    peak = max([least, *(value for value in values if value is not None)])
    return next((choice for choice in choices if choice >= peak), peak)


def line(values: Values, top: float) -> str:
    """The path of a line through the middle of each bucket, interrupted where there are gaps.
    A value on its own is a dot, where the stroke has round ends."""
    return "".join(_through(points) for points in _stretches(values, top))


def area(values: Values, top: float) -> str:
    """The path of what is below that line."""
    return "".join(
        f"{_through(points)}V{_number(HEIGHT)}H{_number(points[0][0])}Z"
        for points in _stretches(values, top)
    )


def _stretches(values: Values, top: float) -> Iterator[list[tuple[float, float]]]:
    """The points of each run of values without a gap."""
    for known, run in groupby(enumerate(values), lambda each: each[1] is not None):
        if known:
            yield [
                (bucket + 0.5, HEIGHT - HEIGHT * min(max(value or 0.0, 0.0) / (top or 1.0), 1.0))
                for bucket, value in run
            ]


def _through(points: list[tuple[float, float]]) -> str:
    (x, y), *rest = points
    follow = "".join(f"L{_number(x)} {_number(y)}" for x, y in rest)
    return f"M{_number(x)} {_number(y)}{follow or 'h0'}"


def _number(value: float) -> str:
    """As short as a path needs it."""
    return f"{value:.1f}".removesuffix(".0")
