"""The list at any size: against a bare view of the same rows, against the Django admin, and
against itself with a hundredth of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

import pytest

from containers.paging import ROWS_PER_PAGE
from containers.views.container_list import COLUMNS
from tests.bench.browsing import crowd_of, quickest
from tests.bench.conftest import Figures

LIST = "/containers/"
ADMIN = "/plain/containers/container/"
STAFF = "/admin/containers/container/"
SEARCHES = {
    "three in ten": "web", "one": "web-4711", "none": "zzzz", "a family": "Gamily7",
    "one in three hundred, all old": "web-12", "one in thirty, all old": "web-1",
    "three in ten, all late in the sort": "web&sort=name",
}  # fmt: skip
# Each way to narrow the list, and pairs of them.
RUNNING, CREATING, ORDERED, DESTROYED = (
    {"status": status} for status in ("running", "creating", "ordered", "destroyed")
)
NODE, PLAN, CUSTOMER = {"node": "5"}, {"plan": "Plan 12"}, {"customer": "1"}
NARROWED = [
    {}, RUNNING, CREATING, ORDERED, DESTROYED, NODE, PLAN, CUSTOMER, RUNNING | NODE,
    RUNNING | PLAN, ORDERED | PLAN, RUNNING | CUSTOMER, NODE | PLAN, PLAN | CUSTOMER,
]  # fmt: skip


def every_address() -> Iterator[str]:
    """The list sorted, narrowed and paged in the ways that the page offers."""
    sorts = ["", *COLUMNS, *(f"-{name}" for name in COLUMNS)]
    for sort, narrowed, page in product(sorts, NARROWED, ("1", "-1")):
        yield f"{LIST}?{urlencode({'sort': sort, **narrowed, 'page': page})}"


def test_ten_thousand_containers_are_no_burden(
    tmp_path: Path, django_db_blocker: Any, figures: Figures
) -> None:
    with django_db_blocker.unblock(), crowd_of(10_000, tmp_path) as panel:
        poll = panel.poll(LIST)
        bare, found, polled = quickest(20, panel.bare(LIST), panel.visit(LIST), poll)
        admin, staff = quickest(2, panel.visit(ADMIN), panel.visit(STAFF))
        assert panel.queries(poll) <= 3
        for address in list(every_address())[::9]:
            assert panel.queries(panel.visit(address)) <= 6, address
    rows = [
        ("bare view", bare),
        ("list", found),
        ("poll", polled),
        ("Django admin", admin),
        ("the same for our staff", staff),
    ]
    figures(
        "The list at 10,000 containers",
        ["page", "ms", "against a bare view"],
        [[name, f"{taken:.1f}", f"{taken / bare:.2f}"] for name, taken in rows],
    )
    assert found < 3 * bare
    assert polled < found / 2.5
    assert found < admin


@pytest.mark.bench
def test_a_million_containers(tmp_path: Path, django_db_blocker: Any, figures: Figures) -> None:
    with (
        django_db_blocker.unblock(),
        crowd_of(10_000, tmp_path) as small,
        crowd_of(1_000_000, tmp_path) as large,
    ):
        to_bare: dict[str, float] = {}
        to_small: dict[str, float] = {}
        # Where there is not a page full, there is less to read, and as much around it.
        to_bare_of_few: dict[str, float] = {}
        for address in every_address():
            bare, found, before = quickest(
                5, large.bare(address), large.visit(address), small.visit(address)
            )
            shown = len(large.keys(address))
            (to_bare if shown == ROWS_PER_PAGE else to_bare_of_few)[address] = found / bare
            if len(small.keys(address)) == shown:
                to_small[address] = found / before
        poll, small_poll = large.poll(LIST), small.poll(LIST)
        searched = [large.visit(f"{LIST}?q={text}") for text in SEARCHES.values()]
        found, polled, bare, before, small_polled = quickest(
            20, large.visit(LIST), poll, large.bare(LIST), small.visit(LIST), small_poll
        )
        # By themselves: one that reads a million names leaves the processor's caches empty.
        unsearched, *searches = quickest(20, large.visit(LIST), *searched)
        admin, small_admin, staff, small_staff = quickest(
            2, large.visit(ADMIN), small.visit(ADMIN), large.visit(STAFF), small.visit(STAFF)
        )
        queries = max(large.queries(large.visit(address)) for address in every_address())
        poll_queries = large.queries(poll)
    worst, *next_worst = sorted(to_bare, key=to_bare.__getitem__, reverse=True)[:6]
    grown = max(to_small, key=to_small.__getitem__)
    figures(
        "The list at 1,000,000 containers",
        ["what", "measured", "aim"],
        [
            ["list, ms", f"{found:.1f}", ""],
            ["bare view, ms", f"{bare:.1f}", ""],
            ["poll, ms", f"{polled:.1f}", ""],
            ["list to bare view", f"{found / bare:.2f}", "2"],
            [f"the same, median of {len(to_bare)} ways", f"{median(to_bare.values()):.2f}", "2"],
            ["the same, worst", f"{to_bare[worst]:.2f} ({worst})", "2"],
            *([f"then {address}", f"{to_bare[address]:.2f}", "2"] for address in next_worst),
            ["ways within it", f"{sum(x <= 2 for x in to_bare.values()) / len(to_bare):.0%}", ""],
            [
                f"where no page is full, median of {len(to_bare_of_few)} ways",
                f"{median(to_bare_of_few.values()):.2f}",
                "",
            ],
            ["the same, worst", f"{max(to_bare_of_few.values()):.2f}", ""],
            ["list to itself at 10,000", f"{found / before:.2f}", "1.5"],
            ["the same, median of all ways", f"{median(to_small.values()):.2f}", "1.5"],
            ["the same, worst", f"{to_small[grown]:.2f} ({grown})", "1.5"],
            ["Django admin to list", f"{admin / found:.0f}", "8"],
            ["the same at 10,000", f"{small_admin / before:.0f}", "2"],
            ["our staff's list in the Django admin, ms", f"{staff:.1f}", ""],
            ["the same to itself at 10,000", f"{staff / small_staff:.2f}", "1.5"],
            ["poll to list", f"1/{found / polled:.1f}", "1/5"],
            ["the same at 10,000", f"1/{before / small_polled:.1f}", "1/5"],
            ["queries of a list, a poll", f"{queries}, {poll_queries}", "6, 3"],
            ["browsers that a core carries, at 2 s", f"{2000 / polled:.0f}", ""],
            ["the same at 15 s", f"{15000 / polled:.0f}", ""],
            *(
                [f"search that finds {what}, to list", f"{taken / unsearched:.2f}", "3"]
                for what, taken in zip(SEARCHES, searches, strict=True)
            ),
        ],
    )
    assert queries <= 6
    assert poll_queries <= 3
