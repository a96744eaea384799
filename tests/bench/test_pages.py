"""Lists at any size: against a bare view of the same rows, against the Django admin, and against
themselves on a hundredth of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from containers.views.found import COLUMNS
from tests.bench.browsing import crowd_of, quickest
from tests.bench.conftest import Figures

LIST = "/containers/"
ADMIN = "/admin/containers/container/"
SEARCHES = {"three in ten": "web", "one": "web-4711", "nothing": "zzzz", "a family": "Gamily7"}
# Each way to narrow the list, and pairs of them.
STATUS = [{"status": status} for status in ("running", "creating", "ordered", "destroyed")]
NODE, PLAN, CUSTOMER = {"node": "5"}, {"plan": "Plan 12"}, {"customer": "1"}
NARROWED = [
    {}, *STATUS, NODE, PLAN, CUSTOMER,
    {**STATUS[0], **NODE}, {**STATUS[0], **PLAN}, {**STATUS[2], **PLAN}, {**STATUS[0], **CUSTOMER},
    {**NODE, **PLAN}, {**PLAN, **CUSTOMER},
]  # fmt: skip


def every_address() -> Iterator[str]:
    """The list sorted, narrowed and paged in all the ways that the page offers."""
    sorts = ["", *COLUMNS, *(f"-{name}" for name in COLUMNS)]
    for sort, narrowed, page in product(sorts, NARROWED, ("1", "-1")):
        yield f"{LIST}?{urlencode({'sort': sort, **narrowed, 'page': page})}"


@pytest.mark.usefixtures("surroundings")
def test_ten_thousand_containers_are_no_burden(
    tmp_path: Path, django_db_blocker: Any, figures: Figures
) -> None:
    with django_db_blocker.unblock(), crowd_of(10_000, tmp_path) as panel:
        bare, found, poll, admin = quickest(
            15,
            panel.visit(panel.bare(LIST)),
            panel.visit(LIST),
            panel.poll(LIST),
            panel.visit(ADMIN),
        )
        assert panel.queries(panel.poll(LIST)) <= 3
        for address in list(every_address())[::12]:
            assert panel.queries(panel.visit(address)) <= 6, address
    figures(
        "The list at 10,000 containers",
        ["page", "ms", "against a bare view"],
        [
            [name, f"{taken * 1000:.1f}", f"{taken / bare:.2f}"]
            for name, taken in (
                ("bare view", bare), ("list", found), ("poll", poll), ("Django admin", admin)
            )
        ],
    )  # fmt: skip
    assert found < 4 * bare
    assert poll < found / 2.5
    assert found < admin
