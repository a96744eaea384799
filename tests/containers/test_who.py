"""Who may: the owner, administrators, staff, nobody; and never somebody who was shut out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from containers import who
from panel.models import User

THING = SimpleNamespace(customer_id=7)


def person(pk: int, *, may: str = "", **flags: bool) -> User:
    found = User(pk=pk, **flags)
    # Django keeps here what it has read from the database once.
    found._perm_cache = {may}  # type: ignore[attr-defined]
    return found


OWNER = person(7)
OTHER = person(8)
ADMINISTRATOR = person(1, is_administrator=True)
STAFF = person(2, is_staff=True)
BOOKKEEPER = person(3, is_staff=True, may="orders.change_order")
DISMISSED = person(4, may="orders.change_order")


@pytest.mark.parametrize(
    ("rule", "may"),
    [
        (who.owner, [OWNER, ADMINISTRATOR]),
        (who.administrator, [ADMINISTRATOR]),
        (who.staff, [STAFF, BOOKKEEPER, ADMINISTRATOR]),
        (who.bookkeeper, [BOOKKEEPER, ADMINISTRATOR]),
        (who.nobody, []),
    ],
)
def test_a_rule_lets_in_whom_it_names_and_no_one_else(rule: Any, may: list[Any]) -> None:
    everyone = [OWNER, OTHER, ADMINISTRATOR, STAFF, BOOKKEEPER, DISMISSED]
    assert [person for person in everyone if rule(THING, person)] == [
        person for person in everyone if person in may
    ]


@pytest.mark.parametrize(
    "rule", [who.owner, who.administrator, who.staff, who.bookkeeper, who.nobody]
)
def test_whoever_was_shut_out_may_nothing(rule: Any) -> None:
    shut_out = person(
        7, is_active=False, is_staff=True, is_administrator=True, may="orders.change_order"
    )
    assert not rule(THING, shut_out)
