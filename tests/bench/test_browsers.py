"""How many browsers that watch the list one machine carries while nothing new happens on it,
behind gunicorn as it ships. Beside it a view that does nothing but answer 204."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.bench.conftest import Figures
from tests.bench.load import Answers, Question, ask_every, ask_without_pause
from tests.bench.shipped import Web, pages_of

pytestmark = [pytest.mark.bench, pytest.mark.processes]

ROWS = 10_000
# So many are carried that no more than one answer in a hundred comes later than this (seconds).
PATIENCE = 0.2
# Of those that could be by what is answered without a pause: how many are tried first, and how
# many times as many next. Twice, where it may have been something else that the machine did.
FIRST, MORE, TRIES = 0.4, 1.15, 2
SECONDS = 5.0
# Seconds after which a page asks again: where something on it is under way, and else.
PACES = (2.0, 15.0)
# Times that a bare answer is carried more often; what is watched is that it stays a few times.
GENEROUS = 12.0


@dataclass(frozen=True)
class Carried:
    """So many browsers, how they were answered, and the cores that each process took for it."""

    browsers: int
    answers: Answers
    cores: list[float]

    @property
    def do_not_wait(self) -> bool:
        """Whether they were answered soon enough."""
        return self.answers.within(0.99) <= PATIENCE


def carried(web: Web, question: Question, pace: float, rate: float) -> Carried:
    """The most browsers that do not wait, by trying more and more; or fewer, if need be."""

    def tried(browsers: int) -> Carried:
        ask = partial(ask_every, question, pace, browsers=browsers, seconds=SECONDS)
        for _ in range(TRIES):
            found = Carried(browsers, *web.cores_while(ask))
            if found.do_not_wait:
                break
        return found

    best = tried(round(FIRST * rate * pace))
    while not best.do_not_wait:
        best = tried(round(best.browsers / MORE))
    while (more := tried(round(best.browsers * MORE))).do_not_wait:
        best = more
    return best


def test_so_many_browsers_are_carried(
    tmp_path: Path, django_db_blocker: Any, figures: Figures
) -> None:
    found: dict[tuple[str, float], Carried] = {}
    with django_db_blocker.unblock(), pages_of(ROWS, tmp_path) as (web, browsing):
        asked = web.questions(browsing)
        for page in ("poll", "bare 204"):
            ask_without_pause(asked[page], clients=16, seconds=1)
            rate = ask_without_pause(asked[page], clients=16, seconds=SECONDS).rate
            for pace in PACES:
                found[page, pace] = carried(web, asked[page], pace, rate)
    figures(
        f"Browsers that watch a list of {ROWS} containers behind gunicorn, {connection.vendor}",
        ["asked", "every, s", "browsers", "answers a second", "median, ms", "99 %, ms",
         "cores of each process", "of who asks", "connections opened"],
        [
            [
                page,
                pace,
                each.browsers,
                each.answers.rate,
                1000 * each.answers.within(0.5),
                1000 * each.answers.within(0.99),
                " + ".join(f"{cores:.2f}" for cores in each.cores),
                each.answers.own,
                each.answers.connections,
            ]
            for (page, pace), each in found.items()
        ],
        f"As many as can be while 99 % are answered within {1000 * PATIENCE:g} ms; who asks runs "
        "on the same machine",
    )  # fmt: skip
    for pace in PACES:
        assert found["poll", pace].browsers * GENEROUS >= found["bare 204", pace].browsers
