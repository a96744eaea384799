"""A form that is sent once more: what it made is found, and made twice only on purpose."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from containers.models import Container, Node
from containers.statuses import Status
from orders import checkout
from orders.models import Order, Plan
from panel.models import User
from tests.cast import ContainerFactory, OrderFactory, PlanFactory, SystemFactory
from tests.orders.test_ssh_keys import ED25519

from .conftest import errors

pytestmark = pytest.mark.django_db


def test_a_replayed_form_leads_to_the_first_order(
    as_lena: Client, filled_in: dict[str, Any]
) -> None:
    first, second = (as_lena.post("/orders/new/", filled_in) for _ in range(2))
    assert first["Location"] == second["Location"]
    assert Order.objects.count() == 1


def test_a_replayed_form_leads_to_its_order_whatever_became_of_the_images(
    as_lena: Client, filled_in: dict[str, Any], node: Node
) -> None:
    first = as_lena.post("/orders/new/", filled_in)
    node.images.all().delete()
    assert as_lena.post("/orders/new/", filled_in)["Location"] == first["Location"]


def test_a_replayed_form_leads_to_its_order_whatever_became_of_the_plan(
    as_lena: Client, plan: Plan, filled_in: dict[str, Any]
) -> None:
    first = as_lena.post("/orders/new/", filled_in)
    plan.is_offered = False
    plan.save()
    assert as_lena.post("/orders/new/", filled_in)["Location"] == first["Location"]


def test_a_form_changed_after_going_back_is_another_order(
    as_lena: Client, filled_in: dict[str, Any]
) -> None:
    as_lena.post("/orders/new/", filled_in)
    as_lena.post("/orders/new/", filled_in | {"name": "web-02"})
    assert set(Container.objects.values_list("name", flat=True)) == {"web-01", "web-02"}


def test_a_double_click_on_a_form_changed_after_going_back_leads_to_the_second_order(
    as_lena: Client, filled_in: dict[str, Any]
) -> None:
    first = as_lena.post("/orders/new/", filled_in)["Location"]
    second, again = (as_lena.post("/orders/new/", filled_in | {"name": "web-02"}) for _ in range(2))
    assert second["Location"] == again["Location"] != first
    assert Order.objects.count() == 2


def test_a_form_that_was_changed_after_going_back_still_knows_what_it_made_first(
    as_lena: Client, filled_in: dict[str, Any]
) -> None:
    first = as_lena.post("/orders/new/", filled_in)["Location"]
    as_lena.post("/orders/new/", filled_in | {"name": "web-02"})
    assert as_lena.post("/orders/new/", filled_in)["Location"] == first


@pytest.mark.parametrize("end", ["which is cancelled", "whose container is destroyed"])
def test_a_form_whose_order_has_ended_is_asked_once_more_before_it_makes_another(
    as_lena: Client, filled_in: dict[str, Any], end: str
) -> None:
    first = as_lena.post("/orders/new/", filled_in)["Location"]
    if end == "which is cancelled":
        as_lena.post(f"{first}cancel/")
    else:
        Container.objects.update(status=Status.DESTROYED)
    answers = [as_lena.post("/orders/new/", filled_in) for _ in range(2)]
    assert {answer.status_code for answer in answers} == {422}
    page = answers[0].content.decode()
    assert re.search(rf'<a href="{first}">order \d+</a> already, {end}\.', page)
    assert 'value="web-01"' in page
    again = filled_in | {"token": shown_token(page)}
    second, twice = (as_lena.post("/orders/new/", again) for _ in range(2))
    assert second["Location"] == twice["Location"] != first
    assert Order.objects.count() == 2


def shown_token(page: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page)
    assert found
    return found[1]


@pytest.mark.parametrize("changed", ["plan", "system", "ssh_key"])
def test_a_form_changed_in_all_but_the_name_is_not_taken_for_the_first_order(
    as_lena: Client, plan: Plan, filled_in: dict[str, Any], changed: str
) -> None:
    other = PlanFactory.create(name="Large", systems=[*plan.systems.all()])
    again = SystemFactory.create(name="Debian 12 again")
    plan.systems.add(again)
    as_lena.post("/orders/new/", filled_in)
    now = {"plan": other.pk, "system": again.pk, "ssh_key": ED25519}[changed]
    found = errors(as_lena, filled_in | {changed: now})
    assert "You already have a container of this name" in found["name"][0]
    assert Order.objects.count() == 1


def test_who_goes_back_to_a_form_that_is_new_and_orders_again_is_shown_their_order(
    as_lena: Client, filled_in: dict[str, Any]
) -> None:
    first = as_lena.post("/orders/new/", filled_in)["Location"]
    new = filled_in | {"token": "1c0ffee0-6a6f-4e9c-8f1e-1f3f0f1d7a10"}
    page = as_lena.post("/orders/new/", new).content.decode()
    assert f'it is that of <a href="{first}">order ' in page
    assert Order.objects.count() == 1


def test_an_order_is_shown_to_nobody_whose_it_is_not_by_the_name_of_its_container(
    as_lena: Client, lena: User, omar: User, filled_in: dict[str, Any]
) -> None:
    handed_on = ContainerFactory.create(customer=lena, name="web-01")
    OrderFactory.create(customer=omar, container=handed_on)
    found = errors(as_lena, filled_in)
    assert found == {"name": ["You already have a container of this name. Choose another."]}


def test_the_token_of_somebody_else_is_no_way_to_their_order(
    as_lena: Client, as_omar: Client, filled_in: dict[str, Any]
) -> None:
    as_lena.post("/orders/new/", filled_in)
    as_omar.post("/orders/new/", filled_in)
    assert {order.customer.username for order in Order.objects.all()} == {"lena", "omar"}


def test_of_two_forms_at_once_the_one_that_came_too_late_is_shown_the_order_that_has_the_name(
    as_lena: Client, lena: User, filled_in: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    really = checkout.place_order

    def too_late(**sent: Any) -> Order:
        really(**sent | {"token": None})
        return really(**sent)

    monkeypatch.setattr(checkout, "place_order", too_late)
    page = as_lena.post("/orders/new/", filled_in).content.decode()
    first = Order.objects.get().get_absolute_url()
    assert f'You already have a container of this name: it is that of <a href="{first}">' in page
