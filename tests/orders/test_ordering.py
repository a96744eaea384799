"""The order form, as a browser without JavaScript uses it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils.datastructures import MultiValueDict
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from containers.models import Container
from containers.statuses import Status
from orders.forms import OrderForm
from orders.models import Order, Plan
from panel.models import User
from tests.cast import ContainerFactory
from tests.orders.test_ssh_keys import ED25519

from .conftest import errors

pytestmark = pytest.mark.django_db


def test_ordering_leads_to_the_order_that_waits_to_be_paid(
    as_lena: Client, lena: User, filled_in: dict[str, Any]
) -> None:
    response = as_lena.post("/orders/new/", filled_in, follow=True)
    order = Order.objects.get()
    assert response.redirect_chain == [(f"/orders/{order.pk}/", 302)]
    assert "€4.90 to be paid" in response.content.decode()
    assert (order.customer, order.container.customer) == (lena, lena)


def test_an_empty_form_says_what_is_missing(as_lena: Client, plan: Plan) -> None:
    assert set(errors(as_lena, {})) == {"plan", "name", "system"}


def test_a_bad_key_is_refused_beside_the_field(as_lena: Client, filled_in: dict[str, Any]) -> None:
    found = errors(as_lena, filled_in | {"ssh_key": "ssh-ed25519 nonsense"})
    assert "damaged" in found["ssh_key"][0]


def test_a_good_key_is_kept_for_the_container(as_lena: Client, filled_in: dict[str, Any]) -> None:
    as_lena.post("/orders/new/", filled_in | {"ssh_key": f"{ED25519}  lena@laptop\n"})
    assert Container.objects.get().ssh_key == f"{ED25519} lena@laptop"


@pytest.mark.parametrize("hours", [0.5, 2])
def test_whoever_has_too_many_orders_unpaid_is_told_truly_what_helps(
    hours: float, as_lena: Client, filled_in: dict[str, Any], settings: Settings
) -> None:
    settings.UNPAID_ORDERS = 1
    as_lena.post("/orders/new/", filled_in | {"name": "first"})
    made = Order.objects.get()
    made.ordered_at -= timedelta(hours=hours)
    made.save()
    answer = as_lena.post("/orders/new/", filled_in)
    assert answer.status_code == 429
    [sentence] = answer.context["form"].non_field_errors()
    assert sentence.endswith("cancel one: it counts until an hour after it was ordered.")
    as_lena.post(f"/orders/{made.pk}/cancel/")
    assert as_lena.post("/orders/new/", filled_in).status_code == (429 if hours < 1 else 302)


def test_whoever_has_cancelled_all_that_was_unpaid_is_not_told_to_pay_or_to_cancel(
    as_lena: Client, filled_in: dict[str, Any], settings: Settings
) -> None:
    settings.UNPAID_ORDERS = 1
    first = as_lena.post("/orders/new/", filled_in | {"name": "first"})["Location"]
    as_lena.post(f"{first}cancel/")
    [sentence] = as_lena.post("/orders/new/", filled_in).context["form"].non_field_errors()
    assert "Pay" not in sentence
    assert sentence.endswith("count until an hour after they were ordered.")


def test_a_name_in_use_is_refused_beside_the_field_and_nothing_is_lost(
    as_lena: Client, lena: User, filled_in: dict[str, Any]
) -> None:
    ContainerFactory.create(customer=lena, name="web-01")
    response = as_lena.post("/orders/new/", filled_in | {"ssh_key": ED25519})
    page = response.content.decode()
    assert "You already have a container of this name." in page
    assert ED25519 in page
    assert "checked" in page


@pytest.mark.parametrize("whose", ["omar", "lena"])
def test_a_name_is_free_where_no_living_container_of_the_customer_has_it(
    as_lena: Client, filled_in: dict[str, Any], whose: str, request: pytest.FixtureRequest
) -> None:
    status = Status.DESTROYED if whose == "lena" else Status.STOPPED
    ContainerFactory.create(customer=request.getfixturevalue(whose), name="web-01", status=status)
    assert as_lena.post("/orders/new/", filled_in).status_code == 302


NAMES = st.text(st.characters(codec="utf-8"), max_size=70) | st.from_regex(r"[a-z0-9-]{1,64}\n?")


@given(NAMES)
def test_whatever_is_typed_as_a_name_is_a_host_name_or_refused(name: str) -> None:
    form = OrderForm(MultiValueDict({"name": [name]}), user=User(username="lena"))
    form.fields = {"name": form.fields["name"]}
    form.clean = lambda: None  # type: ignore[method-assign]
    assert form.is_valid() == is_host_name(name.strip())


def is_host_name(text: str) -> bool:
    """RFC 1123 in plain Python."""
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789-")
    return 1 <= len(text) <= 63 and set(text) <= allowed and "-" not in {text[0], text[-1]}
