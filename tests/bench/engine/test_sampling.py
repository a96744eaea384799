"""What measuring the use of everything costs each minute, beside a look at the same nodes."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from containers.models import Node, UsageSample
from containers.observe import look_at
from containers.statuses import Status
from containers.usage import Sampler
from tests.bench.conftest import Figures
from tests.bench.engine.fleet import CONTAINERS

pytestmark = [
    pytest.mark.processes,
    pytest.mark.django_db(transaction=True),
]

# Seconds from one sampling to the next: the panel's own, and then connections are closed.
MINUTE = 60.0
# A look is one question, a sampling one for each container and three more.
GENEROUS = 4.0 * (CONTAINERS + 3)


@pytest.mark.parametrize(
    ("nodes", "pause", "samplings"),
    [
        ((10, 0, Status.RUNNING), 1.0, 1),
        pytest.param((500, 0, Status.RUNNING), MINUTE, 2, marks=pytest.mark.bench),
    ],
    indirect=["nodes"],
)
def test_all_use_is_measured(
    nodes: list[Node], pause: float, samplings: int, figures: Figures
) -> None:
    pool = ThreadPoolExecutor(len(nodes))
    sampler = Sampler()
    measured(sampler, pause)
    spent = []
    for _ in range(samplings):
        look = cost(lambda: list(pool.map(look_at, nodes)))
        before = UsageSample.objects.count()
        sampling = measured(sampler, pause)
        spent.append((look, sampling, UsageSample.objects.count() - before))
    everything = len(nodes) * (CONTAINERS + 1)
    figures(
        f"Usage of {len(nodes)} nodes with {CONTAINERS} running containers each, "
        f"{connection.vendor}",
        ["", "processor, s", "took, s", "rows", "of all", "times a look"],
        [
            line
            for look, sampling, rows in spent
            for line in (
                ["a look at every node", *look, 0, "", 1.0],
                ["a sampling", *sampling, rows, f"{rows / everything:.0%}", sampling[0] / look[0]],
            )
        ],
        "There are 12 looks a minute, and one sampling. What has not come by the time-out of one "
        "answer is written with the next.",
    )
    assert spent[-1][2] > 0
    assert spent[-1][1][0] <= GENEROUS * spent[-1][0][0]


def measured(sampler: Sampler, pause: float) -> tuple[float, float]:
    """What a sampling costs until the next is due; how long until it had written what it could."""
    took = 0.0

    def minute() -> None:
        nonlocal took
        began = time.monotonic()
        sampler.sample()
        took = time.monotonic() - began
        time.sleep(max(0.0, pause - took))

    return cost(minute)[0], took


def cost(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of this process' processor, and of the clock."""
    began, spent = time.monotonic(), time.process_time()
    work()
    return time.process_time() - spent, time.monotonic() - began
