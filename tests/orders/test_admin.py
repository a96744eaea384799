"""Plans, orders and payments in the Django admin, as the staff who work there see them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from payments import PaymentStatus
from pytest_django import DjangoAssertNumQueries, Settings

from containers.models import Container
from orders import checkout
from orders.models import Order, Payment, Plan, System
from panel.models import User
from tests.cast import ContainerFactory, NodeFactory, OrderFactory, PlanFactory
from tests.conftest import Worker

from .conftest import Pay

pytestmark = pytest.mark.django_db

ADMIN = "/admin/orders"


@pytest.fixture(autouse=True)
def rights(sten: User) -> None:
    """What the group of staff may do here."""
    sten.user_permissions.set(Permission.objects.filter(content_type__app_label="orders"))


def act(client: Client, model: str, name: str, *rows: Any, **more: str) -> str:
    """Tick rows, choose an action, and read what is said of it."""
    ticked = {"action": name, "_selected_action": [row.pk for row in rows], **more}
    return client.post(f"{ADMIN}/{model}/", ticked, follow=True).content.decode()


@pytest.mark.parametrize("model", ["system", "plan", "order", "payment"])
def test_every_list_opens_and_can_be_searched(
    as_sten: Client, order: Order, pay: Pay, model: str
) -> None:
    pay(order)
    assert "1 " in as_sten.get(f"{ADMIN}/{model}/").content.decode()
    assert as_sten.get(f"{ADMIN}/{model}/?q=lena").status_code == 200


@pytest.mark.parametrize(
    ("model", "text"),
    [
        *(("order", text) for text in ("{order.pk}", "order {order.pk}", "Small", "WEB-0")),
        *(("payment", text) for text in ("payment {payment.pk}", "order {order.pk}", "pi_3X")),
        *((model, text) for model in ("order", "payment") for text in
          ("web-01", "k4711", "Lena Fischer", "lena@example.com")),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("far_enough", "sorted_"), [(1000, 1000), (0, 1000), (0, 0)])
def test_a_row_is_found_by_whatever_stands_on_it_however_many_there_are(
    as_sten: Client, lena: User, omar: User, order: Order, pay: Pay, model: str, text: str,
    far_enough: int, sorted_: int, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("containers.search.FAR_ENOUGH", far_enough)
    monkeypatch.setattr("containers.search.SORTED", sorted_)
    User.objects.filter(pk=lena.pk).update(username="k4711")
    pay(
        OrderFactory.create(
            customer=omar, plan=PlanFactory.create(name="Another"), container__name="other"
        )
    )
    payment = pay(order)
    Payment.objects.filter(pk=payment.pk).update(transaction_id="pi_3X")
    told = text.format(order=order, payment=payment)
    found = as_sten.get(f"{ADMIN}/{model}/", {"q": told}).context["cl"].queryset
    assert [row.pk for row in found] == [{"order": order.pk, "payment": payment.pk}[model]]


def test_a_payment_is_found_though_nobody_has_paid_for_many_other_orders_of_the_name(
    as_sten: Client, order: Order, pay: Pay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("containers.search.FAR_ENOUGH", 1)
    containers = ContainerFactory.create_batch(2, customer=order.customer)
    for number, container in enumerate([order.container, *containers]):
        Container.objects.filter(pk=container.pk).update(name=f"shop-{number}")
    OrderFactory.create(container=containers[0])
    paid = pay(OrderFactory.create(container=containers[1]))
    found = as_sten.get(f"{ADMIN}/payment/", {"q": "shop"}).context["cl"].queryset
    assert [row.pk for row in found] == [paid.pk]


@pytest.mark.parametrize("model", ["plan", "order", "payment"])
def test_every_row_opens(as_sten: Client, order: Order, pay: Pay, model: str) -> None:
    rows = {"plan": order.plan_id, "order": order.pk, "payment": pay(order).pk}
    page = as_sten.get(f"{ADMIN}/{model}/{rows[model]}/change/")
    assert page.status_code == 200


def test_an_order_shows_its_history_and_payments(as_sten: Client, order: Order, pay: Pay) -> None:
    payment = pay(order)
    page = as_sten.get(f"{ADMIN}/order/{order.pk}/change/").content.decode()
    assert f"payment {payment.pk}" in page
    assert "Confirmed" in page


def test_a_gateway_is_called_that(as_sten: Client, order: Order, pay: Pay) -> None:
    payment = pay(order)
    for page in ("payment/", f"payment/{payment.pk}/change/", f"order/{order.pk}/change/"):
        shown = as_sten.get(f"{ADMIN}/{page}", follow=True).content.decode()
        assert re.search(">\\s*Gateway", shown)
        assert not re.search(">\\s*Variant", shown)


def test_a_payment_says_how_much_is_to_be_given_back_and_nothing_where_nothing_is(
    as_sten: Client, order: Order, pay: Pay
) -> None:
    pay(order)
    for owed in ("", "€4.90"):
        Payment.objects.update(is_surplus=bool(owed))
        for page in ("payment/", f"order/{order.pk}/change/"):
            shown = as_sten.get(f"{ADMIN}/{page}").content.decode()
            [cell] = re.findall(r'<td class="field-owed">(.*?)</td>', shown, re.DOTALL)
            assert re.sub(r"<.*?>|\s|-", "", cell) == owed, page


@pytest.mark.parametrize("model", ["order", "payment"])
def test_what_was_sold_is_neither_added_nor_deleted(
    as_sten: Client, order: Order, pay: Pay, model: str
) -> None:
    pk = pay(order).pk if model == "payment" else order.pk
    assert as_sten.get(f"{ADMIN}/{model}/add/").status_code == 403
    assert as_sten.post(f"{ADMIN}/{model}/{pk}/delete/", {"post": "yes"}).status_code == 403
    assert "delete_selected" not in as_sten.get(f"{ADMIN}/{model}/").content.decode()


def test_the_status_of_an_order_cannot_be_typed_in(as_sten: Client, order: Order) -> None:
    form = {
        f"{prefix}-{field}": 0
        for prefix in ("changes", "payments")
        for field in ("TOTAL_FORMS", "INITIAL_FORMS")
    }
    sent = form | {"status": "paid", "price": "0.01"}
    as_sten.post(f"{ADMIN}/order/{order.pk}/change/", sent)
    order.refresh_from_db()
    assert (order.status, str(order.price)) == (Order.Status.UNPAID, "4.90")


def test_a_plan_that_was_ordered_stays(as_sten: Client, order: Order, plan: Plan) -> None:
    url = f"{ADMIN}/plan/{plan.pk}/delete/"
    assert as_sten.post(url, {"post": "yes"}).status_code == 403
    act(as_sten, "plan", "delete_selected", plan)
    as_sten.post(
        f"{ADMIN}/plan/",
        {"action": "delete_selected", "_selected_action": [plan.pk], "post": "yes"},
    )
    assert Plan.objects.filter(pk=plan.pk).exists()


def test_staff_change_what_is_on_offer(as_sten: Client, plan: Plan) -> None:
    sent = {
        "name": plan.name, "cpus": 2, "memory_mb": 2048, "disk_gb": 40, "price": "9.00",
        "period": "month", "systems": [system.pk for system in plan.systems.all()],
    }  # fmt: skip
    as_sten.post(f"{ADMIN}/plan/{plan.pk}/change/", sent)
    plan.refresh_from_db()
    assert (str(plan.price), plan.is_offered) == ("9.00", False)


def test_the_filter_finds_what_was_paid_and_not_created(
    as_sten: Client, order: Order, pay: Pay
) -> None:
    OrderFactory.create()
    pay(order)
    Container.objects.filter(pk=order.container_id).update(create_again_at=None)
    page = as_sten.get(f"{ADMIN}/order/?stuck=yes")
    assert list(page.context["cl"].queryset) == [order]


def test_refunding_reports_on_each_order(as_sten: Client, order: Order, pay: Pay) -> None:
    pay(order)
    unpaid = OrderFactory.create()
    page = act(as_sten, "order", "refund", order, unpaid, confirmed="yes")
    assert f"Order {order.pk} is refunded" in page
    assert f"Order {unpaid.pk} is not paid yet" in page
    assert [o.status for o in Order.objects.order_by("pk")] == ["refunded", "unpaid"]
    assert Payment.objects.get().status == PaymentStatus.REFUNDED


def test_no_money_moves_before_the_question_is_answered(
    as_sten: Client, order: Order, pay: Pay
) -> None:
    pay(order)
    unpaid = OrderFactory.create()
    page = act(as_sten, "order", "refund", order, unpaid)
    assert "Refund order: 1 order?" in page
    assert Order.actions()["refund"].warning in page.replace("&#x27;", "'")
    assert f"order {order.pk}</a>, Lena Fischer: €4.90 goes back" in page
    assert f"Order {unpaid.pk} is not paid yet" in page
    assert f'name="_selected_action" value="{order.pk}"' in page
    assert f'name="_selected_action" value="{unpaid.pk}"' not in page
    order.refresh_from_db()
    assert order.status == Order.Status.PAID
    assert Payment.objects.get().status == PaymentStatus.CONFIRMED


def test_an_order_is_cancelled_only_when_the_question_is_answered(
    as_sten: Client, sten: User, order: Order
) -> None:
    sten.is_administrator = True
    sten.save()
    for answer, status in ({}, Order.Status.UNPAID), ({"confirmed": "yes"}, Order.Status.CANCELLED):
        act(as_sten, "order", "cancel", order, **answer)
        order.refresh_from_db()
        assert order.status == status


def test_creation_is_tried_again(as_sten: Client, order: Order, pay: Pay, worker: Worker) -> None:
    pay(order)
    NodeFactory.create()
    act(as_sten, "order", "try_again", order)
    worker.carry_out_all()
    order.refresh_from_db()
    assert order.status == Order.Status.FULFILLED


def test_the_actions_offered_are_those_that_the_role_has(
    as_sten: Client, sten: User, order: Order
) -> None:
    def offered() -> set[str]:
        page = as_sten.get(f"{ADMIN}/order/")
        return {name for name, _ in page.context["action_form"].fields["action"].choices if name}

    assert offered() == {"try_again", "refund"}
    sten.is_administrator = True
    sten.save()
    assert offered() == {"try_again", "refund", "cancel"}


def test_who_may_only_look_has_no_actions(
    as_sten: Client, sten: User, order: Order, lena: User
) -> None:
    payment = checkout.open_payment(order, lena)
    checkout.cancel(order, lena)
    payment.change_status(PaymentStatus.CONFIRMED)
    sten.groups.clear()
    sten.user_permissions.set(
        Permission.objects.filter(codename__in=["view_order", "view_payment"])
    )
    for model in ("order", "payment"):
        assert as_sten.get(f"{ADMIN}/{model}/").context["action_form"] is None
    for name in ("give_back", "was_given_back"):
        act(as_sten, "payment", name, payment, confirmed="yes")
    assert Payment.objects.get().status == PaymentStatus.CONFIRMED


def test_a_surplus_is_given_back(as_sten: Client, order: Order, lena: User) -> None:
    payment = checkout.open_payment(order, lena)
    checkout.cancel(order, lena)
    payment.change_status(PaymentStatus.CONFIRMED)
    asked = act(as_sten, "payment", "give_back", payment)
    assert "Give back what is too much: 1 payment?" in asked
    assert f"payment {payment.pk}</a>, Lena Fischer: €" in asked
    assert Payment.objects.get().status == PaymentStatus.CONFIRMED
    yes = {"confirmed": "yes"}
    assert "was given back" in act(as_sten, "payment", "give_back", payment, **yes)
    assert "nothing to be given back" in act(as_sten, "payment", "give_back", payment, **yes)
    assert Payment.objects.get().status == PaymentStatus.REFUNDED


def test_what_was_given_back_is_not_listed_as_to_be_given_back(
    as_sten: Client, order: Order, lena: User, sten: User
) -> None:
    payment = checkout.open_payment(order, lena)
    checkout.cancel(order, lena)
    payment.change_status(PaymentStatus.CONFIRMED)

    def owed() -> tuple[list[Payment], bool]:
        listed = as_sten.get(f"{ADMIN}/payment/").content.decode()
        found = as_sten.get(f"{ADMIN}/payment/?owed=yes").context["cl"].queryset
        return list(found), 'class="field-owed">€4.90' in listed

    assert owed() == ([payment], True)
    checkout.give_back(payment, sten)
    assert owed() == ([], False)


def test_what_was_given_back_at_the_gateway_is_written_down_once_the_question_is_answered(
    as_sten: Client, order: Order, lena: User, sten: User
) -> None:
    payment = checkout.open_payment(order, lena)
    checkout.cancel(order, lena)
    payment.change_status(PaymentStatus.CONFIRMED)
    asked = act(as_sten, "payment", "was_given_back", payment)
    assert "Was given back at the gateway: 1 payment?" in asked
    assert "The gateway is not asked" in asked
    assert Payment.objects.get().status == PaymentStatus.CONFIRMED
    yes = {"confirmed": "yes"}
    said = act(as_sten, "payment", "was_given_back", payment, **yes)
    assert f"Payment {payment.pk} is written down as given back." in said
    assert "nothing to be given back" in act(as_sten, "payment", "was_given_back", payment, **yes)
    assert Payment.objects.get().status == PaymentStatus.REFUNDED
    assert order.changes.filter(by=sten, because__endswith="given back at the gateway").exists()


def test_more_than_a_page_can_ask_about_is_not_given_back(
    as_sten: Client, order: Order, lena: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = checkout.open_payment(order, lena)
    checkout.cancel(order, lena)
    payment.change_status(PaymentStatus.CONFIRMED)
    monkeypatch.setattr("containers.admin.AT_ONCE", 0)
    said = act(as_sten, "payment", "give_back", payment, confirmed="yes")
    assert "Give back what is too much: tick 0 at most." in said
    assert Payment.objects.get().status == PaymentStatus.CONFIRMED


@pytest.mark.parametrize("model", ["order", "payment"])
def test_a_customer_gets_no_further_than_the_door(as_lena: Client, model: str) -> None:
    assert as_lena.get(f"{ADMIN}/{model}/").status_code == 302


def test_the_list_takes_the_same_number_of_queries_however_long(
    as_sten: Client, order: Order, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    def queries() -> int:
        with django_assert_max_num_queries(30) as captured:
            as_sten.get(f"{ADMIN}/order/")
        return len(captured)

    few = queries()
    OrderFactory.create_batch(10)
    assert queries() == few


@pytest.mark.parametrize(
    "place", ["plan/", "order/", "order/{0.order_id}/change/", "payment/", "payment/{0.pk}/change/"]
)
def test_an_amount_is_written_as_on_the_pages_of_the_panel(
    as_sten: Client, lena: User, system: System, pay: Pay, settings: Settings, place: str
) -> None:
    settings.CURRENCY = "JPY"
    plan = PlanFactory.create(name="Yen", price=1900, systems=[system])
    order = checkout.place_order(customer=lena, by=lena, plan=plan, system=system, name="web-01")
    page = as_sten.get(f"{ADMIN}/{place.format(pay(order))}").content.decode()
    assert "JPY 1,900" in page
    assert "1900" not in page


def test_a_price_that_its_currency_does_not_have_is_refused_beside_the_field(
    as_sten: Client, plan: Plan, settings: Settings
) -> None:
    settings.CURRENCY = "JPY"
    url = f"{ADMIN}/plan/{plan.pk}/change/"
    form = as_sten.get(url).context["adminform"].form
    sent = form.initial | {"systems": [plan.systems.get().pk], "price": "9.50"}
    errors = as_sten.post(url, sent).context["adminform"].form.errors
    assert errors == {"price": ["JPY has no decimals. Enter a whole number."]}
    assert as_sten.post(url, sent | {"price": "950"}).status_code == 302
    assert Plan.objects.get().price == 950
    settings.CURRENCY = "EUR"
    assert as_sten.post(url, sent).status_code == 302
    assert Plan.objects.get().price == Decimal("9.50")


def test_of_an_order_that_is_well_its_page_says_that_there_is_no_problem(
    as_sten: Client, order: Order
) -> None:
    page = as_sten.get(f"{ADMIN}/order/{order.pk}/change/").content.decode()
    assert "none" in page[page.index("Problem:") : page.index("Ordered at:")]
