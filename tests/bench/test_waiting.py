"""Four people who ask for the list without pause, behind gunicorn as it ships: nobody waits much
longer than the others. Beside it the bare view of the same rows, one person alone, and a machine
that does nothing but count."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.bench.conftest import Figures
from tests.bench.counting import turns_of
from tests.bench.load import Answers, ask_without_pause
from tests.bench.shipped import pages_of

pytestmark = [pytest.mark.bench, pytest.mark.processes]

ROWS = 10_000
# Each round opens its connections anew: which process of gunicorn takes them is chance.
ROUNDS, SECONDS = 8, 5.0
# The aim is 2; on a machine that does other things meanwhile somebody waits longer.
GENEROUS = 10.0


def test_at_four_clients_nobody_waits_much_longer_than_the_others(
    tmp_path: Path, django_db_blocker: Any, figures: Figures
) -> None:
    rounds: dict[tuple[str, int], list[Answers]] = defaultdict(list)
    cores: dict[tuple[str, int], list[list[float]]] = defaultdict(list)
    counted: dict[int, list[float]] = defaultdict(list)
    with django_db_blocker.unblock(), pages_of(ROWS, tmp_path) as (web, browsing):
        asked = web.questions(browsing)
        for _ in range(ROUNDS):
            for way in (("list", 4), ("bare view", 4), ("list", 1), ("bare view", 1)):
                ask = partial(ask_without_pause, asked[way[0]], clients=way[1], seconds=SECONDS)
                answers, used = web.cores_while(ask)
                rounds[way].append(answers)
                cores[way].append(used)
            for processes in (4, 1):
                counted[processes] += turns_of(processes, SECONDS)
    waits = {way: sorted(chain(*(each.waits for each in rounds[way]))) for way in rounds}
    ratios = {way: ratio(all_of_them) for way, all_of_them in waits.items()}
    figures(
        f"Pages of {ROWS} containers behind gunicorn, {connection.vendor}",
        ["asked without pause", "median, ms", "99 %, ms", "99 % to median", "of a round",
         "pages a second", "cores of each process", "of who asks"],
        [
            [
                f"{page}, by {clients}",
                1000 * share(waits[page, clients], 0.5),
                1000 * share(waits[page, clients], 0.99),
                ratios[page, clients],
                " ".join(f"{ratio(sorted(each.waits)):.1f}" for each in found),
                sum(each.rate for each in found) / ROUNDS,
                means(cores[page, clients]),
                sum(each.own for each in found) / ROUNDS,
            ]
            for (page, clients), found in rounds.items()
        ],
        f"{ROUNDS} rounds of {SECONDS:g} s each, by turns",
    )  # fmt: skip
    figures(
        "Nothing but counting meanwhile",
        ["processes", "median of a turn, ms", "99 % to median"],
        [
            [processes, 1000 * share(sorted(turns), 0.5), ratio(sorted(turns))]
            for processes, turns in counted.items()
        ],
        "No page can be more even than the machine",
    )
    assert ratios["list", 4] <= GENEROUS


def share(waits: list[float], part: float) -> float:
    """The time within which this part of the answers came."""
    return waits[int(part * len(waits))]


def means(cores: list[list[float]]) -> str:
    """What the busiest process took on the average, and the next, and so on."""
    columns = zip(*cores, strict=True)
    return " + ".join(f"{sum(column) / len(column):.2f}" for column in columns)


def ratio(waits: list[float]) -> float:
    return share(waits, 0.99) / share(waits, 0.5)
