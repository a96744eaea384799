"""Many nodes watched by one process, a tenth of them hanging."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from containers.models import Container, Node
from containers.statuses import Status
from tests.bench.conftest import Figures
from tests.bench.engine.fleet import CONTAINERS
from tests.bench.shipped import use_of
from tests.containers.test_processes import Panel, until

pytestmark = [
    pytest.mark.processes,
    pytest.mark.django_db(transaction=True),
]

EVERY = 5.0
# Beats from one look at a node to the next; the aim is one.
GENEROUS = 3.0


@pytest.mark.parametrize(
    ("nodes", "seconds", "watchers"),
    [
        ((20, 2, Status.STOPPED), 8, 1),
        pytest.param((500, 50, Status.STOPPED), 60, 1, marks=pytest.mark.bench),
        pytest.param((500, 50, Status.STOPPED), 60, 2, marks=pytest.mark.bench),
    ],
    indirect=["nodes"],
)
def test_nodes_are_looked_at_in_every_beat(
    nodes: list[Node], seconds: int, watchers: int, tmp_path: Path, figures: Figures
) -> None:
    panel = Panel(tmp_path)
    panel.environment |= {"BERTH_WATCH_EVERY": str(EVERY), "BERTH_NODE_TIMEOUT": "4"}
    answering = nodes[: -(len(nodes) // 10)]
    try:
        processes = [panel.watcher() for _ in range(watchers)]
        silent = Node.objects.filter(pk__in=[node.pk for node in nodes[len(answering) :]])
        others = Node.objects.exclude(pk__in=silent)
        until(lambda: not others.filter(seen_at=None).exists(), "seen", patience=120)
        until(lambda: not silent.filter(online=True).exists(), "given up", patience=120)
        before = [use_of(process.pid) for process in processes]
        gaps = gaps_between_looks(seconds)
        after = [use_of(process.pid) for process in processes]
    finally:
        panel.close()
    beats = [gap / EVERY for gap in gaps]
    middle, worst = median(beats), sorted(beats)[int(0.99 * len(beats))]
    figures(
        f"{len(nodes)} nodes, {len(nodes) // 10} of them hanging, {watchers} watcher processes",
        ["", "value"],
        [
            ["beats of 5 s between two looks at a node, median", middle],
            ["the same, slowest hundredth", worst],
            *(
                ["cores used", (b.cpu - a.cpu) / seconds]
                for a, b in zip(before, after, strict=True)
            ),
            *(["memory in MiB, threads", f"{use.resident:.0f}, {use.threads}"] for use in after),
        ],
        f"{CONTAINERS} containers on each, over {seconds} s",
    )
    assert set(Node.objects.filter(online=True)) == set(answering)
    assert not Container.objects.filter(node__in=answering).exclude(status="stopped").exists()
    assert middle <= GENEROUS


def gaps_between_looks(seconds: float) -> list[float]:
    """Seconds between two looks at the same node, for all nodes."""
    seen: dict[int, datetime] = {}
    gaps: list[float] = []
    until_then = time.monotonic() + seconds
    while time.monotonic() < until_then:
        time.sleep(0.5)
        looks: Any = Node.objects.exclude(seen_at=None).values_list("pk", "seen_at")
        for pk, at in looks:
            if pk in seen and at != seen[pk]:
                gaps.append((at - seen[pk]).total_seconds())
            seen[pk] = at
    return gaps
