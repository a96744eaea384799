"""Who may: the owner, administrators, staff, nobody; and never somebody who was shut out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from containers import who

THING = SimpleNamespace(customer_id=7)


def person(pk: int = 1, *, may: str = "", **flags: bool) -> Any:
    usual = {"is_active": True, "is_staff": False, "is_administrator": False}
    return SimpleNamespace(pk=pk, has_perm=lambda perm: perm == may, **(usual | flags))


OWNER = person(7)
OTHER = person(8)
ADMINISTRATOR = person(is_administrator=True)
STAFF = person(is_staff=True)
BOOKKEEPER = person(is_staff=True, may="orders.change_order")
DISMISSED = person(may="orders.change_order")


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
