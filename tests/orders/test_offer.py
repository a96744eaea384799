"""What is on offer: plans and systems, on their page and in the order form."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from containers.models import Node
from orders.models import Order, Plan, System
from tests.cast import PlanFactory, SystemFactory
from tests.orders.test_ssh_keys import ED25519

from .conftest import errors

pytestmark = pytest.mark.django_db


def test_the_plans_on_offer_are_shown_with_what_they_hold(as_lena: Client, plan: Plan) -> None:
    PlanFactory.create(name="Gone", is_offered=False)
    page = as_lena.get("/plans/").content.decode()
    for word in ("Small 1 GB", "€4.90", "1 core", "20 GB", "Debian 12"):
        assert word in page
    assert "Gone" not in page
    assert f"/orders/new/?plan={plan.pk}" in page


@pytest.mark.parametrize("address", ["/plans/", "/orders/new/"])
def test_where_nothing_is_on_offer_whoever_can_is_led_to_add_a_plan(
    address: str, as_lena: Client, as_sten: Client
) -> None:
    for browser, leads in ((as_sten, True), (as_lena, False)):
        page = browser.get(address).content.decode()
        assert "Nothing is on offer" in page
        assert ('href="/admin/orders/plan/add/"' in page) == leads
        assert ("ask us" in page) != leads


@pytest.mark.parametrize(
    ("currency", "price", "shown"),
    [("EUR", "1250", "€1,250.00"), ("CHF", "9", "CHF 9.00"), ("JPY", "1250", "JPY 1,250<")],
)
def test_a_price_has_the_decimals_of_its_currency(
    as_lena: Client, plan: Plan, settings: Settings, currency: str, price: str, shown: str
) -> None:
    settings.CURRENCY = currency
    Plan.objects.update(price=price)
    assert shown in as_lena.get("/plans/").content.decode()


def test_a_plan_without_a_system_is_not_offered(as_lena: Client) -> None:
    plan = PlanFactory.create(name="Empty")
    plan.systems.clear()
    assert "Empty" not in as_lena.get("/plans/").content.decode()


def test_the_plan_that_was_clicked_is_chosen_in_the_form(as_lena: Client, plan: Plan) -> None:
    other = PlanFactory.create(name="Large")
    page = as_lena.get(f"/orders/new/?plan={other.pk}")
    [chosen] = [option for option in page.context["form"]["plan"] if option.data["selected"]]
    assert str(chosen.data["value"]) == str(other.pk)


@pytest.mark.parametrize("plan_id", ["999", "x", ""])
def test_a_plan_that_is_not_there_still_gives_the_form(
    as_lena: Client, plan: Plan, plan_id: str
) -> None:
    assert as_lena.get(f"/orders/new/?plan={plan_id}").status_code == 200


@pytest.fixture
def ubuntu(plan: Plan) -> System:
    """Offered with the plan, and on no node."""
    ubuntu = SystemFactory.create(name="Ubuntu 24.04", image="ubuntu/24.04")
    plan.systems.add(ubuntu)
    return ubuntu


def test_a_system_that_no_node_has_is_shown_and_cannot_be_chosen(
    as_lena: Client, node: Node, ubuntu: System
) -> None:
    field = as_lena.get("/orders/new/").context["form"]["system"]
    options = {str(o.data["label"]): o.data["attrs"] for o in field if o.data["value"]}
    assert options["Ubuntu 24.04 (not available just now)"]["disabled"]
    assert "disabled" not in options["Debian 12"]


def test_the_plans_say_of_a_system_that_it_is_not_to_be_had(
    as_lena: Client, node: Node, ubuntu: System
) -> None:
    for page in ("/plans/", "/orders/new/"):
        text = as_lena.get(page).content.decode()
        assert text.count('<span class="sub">(not available just now)</span>') == 1
        assert 'Ubuntu 24.04 <span class="sub">(not available' in text


def test_a_system_that_not_every_plan_has_says_which_do(
    as_lena: Client, node: Node, system: System, ubuntu: System
) -> None:
    for name in ("Large", "Huge"):
        PlanFactory.create(name=name, systems=[system])
    alpine = SystemFactory.create(name="Alpine", image=system.image)
    alpine.plans.set(Plan.objects.exclude(name="Huge"))
    field = as_lena.get("/orders/new/").context["form"]["system"]
    assert [str(option.data["label"]) for option in field][1:] == [
        "Alpine (not with Huge)",
        "Debian 12",
        "Ubuntu 24.04 (only with Small 1 GB; not available just now)",
    ]


def test_a_system_that_the_plan_does_not_offer_is_refused_with_those_it_offers(
    as_lena: Client, filled_in: dict[str, Any]
) -> None:
    alpine = SystemFactory.create(name="Alpine 3.20", image="alpine/3.20")
    PlanFactory.create(name="Tiny", systems=[alpine])
    found = errors(as_lena, filled_in | {"system": alpine.pk})
    assert found["system"] == ["Small 1 GB does not come with Alpine 3.20. It offers: Debian 12."]


def test_a_system_that_no_node_has_is_refused_beside_the_field(
    as_lena: Client, filled_in: dict[str, Any], ubuntu: System
) -> None:
    found = errors(as_lena, filled_in | {"system": ubuntu.pk})
    assert found["system"] == [
        "Ubuntu 24.04 is not available just now. Choose Debian 12, or come back later."
    ]
    assert not Order.objects.exists()


def test_where_no_node_has_anything_it_says_to_come_back(
    as_lena: Client, filled_in: dict[str, Any], node: Node
) -> None:
    node.images.all().delete()
    assert errors(as_lena, filled_in)["system"] == [
        "Debian 12 is not available just now. Please come back later."
    ]


@pytest.mark.parametrize(
    ("state", "status"), [({"online": False}, 302), ({"in_service": False}, 422)]
)
def test_a_node_out_of_service_does_not_count_and_one_that_is_off_line_does(
    state: dict[str, bool], status: int, as_lena: Client, filled_in: dict[str, Any]
) -> None:
    Node.objects.update(**state)
    assert as_lena.post("/orders/new/", filled_in).status_code == status


def test_a_plan_taken_off_meanwhile_is_refused(
    as_lena: Client, plan: Plan, filled_in: dict[str, Any]
) -> None:
    PlanFactory.create(name="Other")
    plan.is_offered = False
    plan.save()
    assert "not offered any more" in errors(as_lena, filled_in)["plan"][0]


def test_where_the_last_plan_was_taken_off_meanwhile_nothing_typed_is_lost(
    as_lena: Client, plan: Plan, filled_in: dict[str, Any]
) -> None:
    plan.is_offered = False
    plan.save()
    page = as_lena.post("/orders/new/", filled_in | {"ssh_key": ED25519}).content.decode()
    assert "This plan is not offered any more." in page
    assert 'value="web-01"' in page
    assert ED25519 in page


@pytest.mark.parametrize("nonsense", [{"plan": "x"}, {"system": "9" * 40}, {"plan": "\0"}])
def test_nonsense_for_a_plan_or_a_system_is_refused_beside_the_field(
    as_lena: Client, filled_in: dict[str, Any], nonsense: dict[str, str]
) -> None:
    assert set(errors(as_lena, filled_in | nonsense)) == set(nonsense)


def test_nobody_orders_at_a_price_that_they_were_not_shown(
    as_lena: Client, plan: Plan, filled_in: dict[str, Any]
) -> None:
    def shown(page: str) -> dict[str, str]:
        return dict(re.findall(r'name="(terms-\d+)" value="([^"]+)"', page))

    form = filled_in | shown(as_lena.get("/orders/new/").content.decode())
    Plan.objects.update(price="9.90")
    again = as_lena.post("/orders/new/", form)
    assert again.status_code == 422
    assert "has changed meanwhile" in again.content.decode()
    form |= shown(again.content.decode())
    assert as_lena.post("/orders/new/", form).status_code == 302
    Plan.objects.update(price="8.90")
    assert as_lena.post("/orders/new/", form).status_code == 302
    assert Order.objects.get().price == Decimal("9.90")
