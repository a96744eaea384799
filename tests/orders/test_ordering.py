"""The plans and the order form, as a browser without JavaScript uses them."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils.datastructures import MultiValueDict
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from containers.models import Container, Node
from containers.statuses import Status
from orders.forms import OrderForm
from orders.models import Order, Plan, System
from panel.models import User
from tests.cast import ContainerFactory, OrderFactory, PlanFactory, SystemFactory, UserFactory
from tests.orders.test_ssh_keys import ED25519

pytestmark = pytest.mark.django_db


@pytest.fixture
def filled_in(plan: Plan, system: System, node: Node) -> dict[str, Any]:
    """What a browser sends for web-01, with the token of one form."""
    return {
        "plan": plan.pk,
        "system": system.pk,
        "name": "web-01",
        "ssh_key": "",
        "token": "9b2f3c52-6a6f-4e9c-8f1e-1f3f0f1d7a10",
    }


def errors(client: Client, data: dict[str, Any]) -> Any:
    response = client.post("/orders/new/", data)
    assert response.status_code == 422
    return response.context["form"].errors


def test_the_plans_on_offer_are_shown_with_what_they_hold(as_lena: Client, plan: Plan) -> None:
    PlanFactory.create(name="Gone", is_offered=False)
    page = as_lena.get("/plans/").content.decode()
    for word in ("Small 1 GB", "€4.90", "1 core", "20 GB", "Debian 12"):
        assert word in page
    assert "Gone" not in page
    assert f"/orders/new/?plan={plan.pk}" in page


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


def test_ordering_leads_to_the_order_that_waits_to_be_paid(
    as_lena: Client, lena: User, filled_in: dict[str, Any]
) -> None:
    response = as_lena.post("/orders/new/", filled_in, follow=True)
    order = Order.objects.get()
    assert response.redirect_chain == [(f"/orders/{order.pk}/", 302)]
    assert "€4.90 to be paid" in response.content.decode()
    assert (order.customer, order.container.customer) == (lena, lena)


def test_a_replayed_form_leads_to_the_first_order(
    as_lena: Client, filled_in: dict[str, Any]
) -> None:
    first, second = (as_lena.post("/orders/new/", filled_in) for _ in range(2))
    assert first["Location"] == second["Location"]
    assert Order.objects.count() == 1


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


@pytest.mark.parametrize("end", ["cancelled", "destroyed"])
def test_a_form_whose_order_has_ended_is_asked_once_more_before_it_makes_another(
    as_lena: Client, filled_in: dict[str, Any], end: str
) -> None:
    first = as_lena.post("/orders/new/", filled_in)["Location"]
    if end == "cancelled":
        as_lena.post(f"{first}cancel/")
    else:
        Container.objects.update(status=Status.DESTROYED)
    answers = [as_lena.post("/orders/new/", filled_in) for _ in range(2)]
    assert {answer.status_code for answer in answers} == {422}
    page = answers[0].content.decode()
    assert re.search(rf'<a href="{first}">order \d+</a> already, which has ended', page)
    assert 'value="web-01"' in page
    again = filled_in | {"token": shown_token(page)}
    second, twice = (as_lena.post("/orders/new/", again) for _ in range(2))
    assert second["Location"] == twice["Location"] != first
    assert Order.objects.count() == 2


def test_a_form_that_was_changed_after_going_back_still_knows_what_it_made_first(
    as_lena: Client, filled_in: dict[str, Any]
) -> None:
    first = as_lena.post("/orders/new/", filled_in)["Location"]
    as_lena.post("/orders/new/", filled_in | {"name": "web-02"})
    assert as_lena.post("/orders/new/", filled_in)["Location"] == first


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


def test_a_system_that_the_plan_does_not_offer_is_refused_with_those_it_offers(
    as_lena: Client, filled_in: dict[str, Any]
) -> None:
    alpine = SystemFactory.create(name="Alpine 3.20", image="alpine/3.20")
    PlanFactory.create(name="Tiny", systems=[alpine])
    found = errors(as_lena, filled_in | {"system": alpine.pk})
    assert found["system"] == ["Small 1 GB does not come with Alpine 3.20. It offers: Debian 12."]


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


def test_who_pays_is_said_to_whoever_orders(as_lena: Client, as_sten: Client, plan: Plan) -> None:
    assert "you can pay there" in as_lena.get("/orders/new/").content.decode()
    assert "Its customer can pay" in as_sten.get("/orders/new/").content.decode()


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


def test_a_replayed_form_leads_to_its_order_whatever_became_of_the_images(
    as_lena: Client, filled_in: dict[str, Any], node: Node
) -> None:
    first = as_lena.post("/orders/new/", filled_in)
    node.images.all().delete()
    assert as_lena.post("/orders/new/", filled_in)["Location"] == first["Location"]


def test_a_plan_taken_off_meanwhile_is_refused(
    as_lena: Client, plan: Plan, filled_in: dict[str, Any]
) -> None:
    PlanFactory.create(name="Other")
    plan.is_offered = False
    plan.save()
    assert "not offered any more" in errors(as_lena, filled_in)["plan"][0]


def test_a_replayed_form_leads_to_its_order_whatever_became_of_the_plan(
    as_lena: Client, plan: Plan, filled_in: dict[str, Any]
) -> None:
    first = as_lena.post("/orders/new/", filled_in)
    plan.is_offered = False
    plan.save()
    assert as_lena.post("/orders/new/", filled_in)["Location"] == first["Location"]


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


def test_a_bad_key_is_refused_beside_the_field(as_lena: Client, filled_in: dict[str, Any]) -> None:
    found = errors(as_lena, filled_in | {"ssh_key": "ssh-ed25519 nonsense"})
    assert "damaged" in found["ssh_key"][0]


def test_a_good_key_is_kept_for_the_container(as_lena: Client, filled_in: dict[str, Any]) -> None:
    as_lena.post("/orders/new/", filled_in | {"ssh_key": f"{ED25519}  lena@laptop\n"})
    assert Container.objects.get().ssh_key == f"{ED25519} lena@laptop"


def test_an_empty_form_says_what_is_missing(as_lena: Client, plan: Plan) -> None:
    assert set(errors(as_lena, {})) == {"plan", "name", "system"}


def test_an_administrator_orders_for_a_customer(
    as_ada: Client, ada: User, lena: User, filled_in: dict[str, Any]
) -> None:
    as_ada.post("/orders/new/", filled_in | {"customer": "lena"})
    order = Order.objects.get()
    assert (order.customer, order.container.customer) == (lena, lena)
    assert order.changes.get().by == ada


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
