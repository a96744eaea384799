"""How containers, and what belongs to them, are looked for: by whichever way is quicker."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import QuerySet

from containers import search
from containers.models import Container
from tests.cast import ContainerFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def ten() -> QuerySet[Container]:
    """Five called old, and after them five called new."""
    for name in ["old"] * 5 + ["new"] * 5:
        ContainerFactory.create(name=f"{name}-{Container.objects.count()}", on_node=False)
    return Container.objects.order_by("-pk")


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        # Few are looked up once; of more it is asked first whether they come early.
        ("new", 5, [6]),
        ("new", 4, [5]),
        ("old", 4, [5, 21]),
    ],
)
def test_many_are_looked_up_and_sorted_only_if_none_of_them_is_new(
    text: str, most: int, expected: list[int], ten: QuerySet[Container],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(search, "FAR_ENOUGH", most)
    monkeypatch.setattr(search, "LOOKED_THROUGH", 5)
    monkeypatch.setattr(search, "SORTED", 100)
    asked: list[int] = []

    def looked_up(rows: Any, text: str, most: int) -> QuerySet[Any]:
        asked.append(most)
        return search.looked_up(rows, text, most)

    found = search.few_or_many(ten, text, looked_up, search.matching)
    assert [each.name.partition("-")[0] for each in found] == [text] * 5
    assert asked == expected
