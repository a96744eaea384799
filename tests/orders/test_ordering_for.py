"""Whose an order is: customers order for themselves, and staff for a customer."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from orders.models import Order, Plan
from panel.models import User
from tests.cast import UserFactory

from .conftest import errors

pytestmark = pytest.mark.django_db


def test_who_pays_is_said_to_whoever_orders(as_lena: Client, as_sten: Client, plan: Plan) -> None:
    assert "you can pay there" in as_lena.get("/orders/new/").content.decode()
    assert "Its customer can pay" in as_sten.get("/orders/new/").content.decode()


def test_an_administrator_orders_for_a_customer(
    as_ada: Client, ada: User, lena: User, filled_in: dict[str, Any]
) -> None:
    as_ada.post("/orders/new/", filled_in | {"customer": "lena"})
    order = Order.objects.get()
    assert (order.customer, order.container.customer) == (lena, lena)
    assert order.changes.get().by == ada


def test_whoever_orders_for_others_orders_for_themselves_unless_they_say_so(
    as_ada: Client, plan: Plan
) -> None:
    assert as_ada.get("/orders/new/").context["form"]["customer"].value() == "ada"


def test_a_customer_orders_for_nobody_else(
    as_lena: Client, lena: User, omar: User, filled_in: dict[str, Any]
) -> None:
    as_lena.post("/orders/new/", filled_in | {"customer": "omar"})
    assert Order.objects.get().customer == lena


@pytest.mark.parametrize(
    "typed", ["lena", "LENA@example.com", "lena fischer", " lena", "lena ", " Lena Fischer "]
)
def test_the_customer_is_known_by_user_name_address_or_whole_name(
    typed: str, as_ada: Client, lena: User, filled_in: dict[str, Any]
) -> None:
    as_ada.post("/orders/new/", filled_in | {"customer": typed})
    assert Order.objects.get().customer == lena


@pytest.mark.parametrize("names", [("Kim", ""), ("", "Kim")])
def test_a_customer_with_one_name_is_known_by_it(
    names: tuple[str, str], as_ada: Client, filled_in: dict[str, Any]
) -> None:
    kim = UserFactory.create(username="k17", first_name=names[0], last_name=names[1])
    as_ada.post("/orders/new/", filled_in | {"customer": "kim"})
    assert Order.objects.get().customer == kim


def test_a_blank_is_nobody(as_ada: Client, filled_in: dict[str, Any]) -> None:
    assert "Say whose it is." in errors(as_ada, filled_in | {"customer": " "})["customer"][0]


def test_where_two_are_called_so_it_asks_for_the_user_name(
    as_ada: Client, lena: User, filled_in: dict[str, Any]
) -> None:
    UserFactory.create(username="lena2", first_name="Lena", last_name="Fischer")
    answer = as_ada.post("/orders/new/", filled_in | {"customer": "Lena Fischer"})
    assert "type the user name" in answer.content.decode()
    assert 'value="Lena Fischer"' in answer.content.decode()


def test_an_unknown_customer_is_refused(as_ada: Client, filled_in: dict[str, Any]) -> None:
    assert "Nobody" in errors(as_ada, filled_in | {"customer": "nemo"})["customer"][0]
