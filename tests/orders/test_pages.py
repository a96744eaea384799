"""The pages of orders: who sees them, what they say, and the poll that keeps them true."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from containers import counting, operations
from containers.counting import Count
from containers.models import Container, Node, Operation
from containers.statuses import Status
from orders import checkout
from orders.models import Order, Plan
from orders.views import listing
from panel.models import User
from tests.cast import NodeFactory, OrderFactory
from tests.conftest import Worker
from tests.containers.acts import ask_and_wait

from .conftest import Pay

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
SECTIONS = ["", "pay/", "cancel/", "refund/", "try-again/"]


# --- who sees what ---------------------------------------------------------------------------


@pytest.mark.parametrize("section", SECTIONS)
def test_a_foreign_order_is_not_found(as_omar: Client, order: Order, section: str) -> None:
    assert as_omar.get(f"/orders/{order.pk}/{section}").status_code == 404


@pytest.mark.parametrize("section", SECTIONS[1:])
def test_a_foreign_order_cannot_be_changed(as_omar: Client, order: Order, section: str) -> None:
    assert as_omar.post(f"/orders/{order.pk}/{section}").status_code == 404
    order.refresh_from_db()
    assert (order.status, order.payments.count()) == (Order.Status.UNPAID, 0)


@pytest.mark.parametrize("path", ["/plans/", "/orders/", "/orders/new/"])
def test_a_stranger_is_sent_to_sign_in(client: Client, path: str) -> None:
    assert client.get(path)["Location"].startswith("/account/login/")


@pytest.mark.parametrize("section", SECTIONS)
def test_a_stranger_is_sent_to_sign_in_from_an_order(
    client: Client, order: Order, section: str
) -> None:
    response = client.get(f"/orders/{order.pk}/{section}")
    assert response["Location"].startswith("/account/login/")


@pytest.mark.parametrize("browser", ["as_lena", "as_ada", "as_sten"])
def test_owner_administrator_and_staff_see_an_order(
    order: Order, browser: str, request: pytest.FixtureRequest
) -> None:
    client: Client = request.getfixturevalue(browser)
    assert client.get(f"/orders/{order.pk}/").status_code == 200
    assert list(client.get("/orders/").context["page_obj"]) == [order]


@pytest.mark.parametrize(("browser", "leads"), [("as_sten", True), ("as_lena", False)])
def test_what_is_somebody_elses_leads_to_all_that_they_have(
    browser: str, leads: bool, order: Order, lena: User, request: pytest.FixtureRequest
) -> None:
    client: Client = request.getfixturevalue(browser)
    for thing in (order, order.container):
        page = client.get(thing.get_absolute_url()).content.decode()
        assert (f'href="/containers/?customer={lena.pk}">Lena Fischer</a>' in page) == leads


def test_a_customer_lists_only_their_own(as_lena: Client, order: Order, omar: User) -> None:
    OrderFactory.create(customer=omar)
    page = as_lena.get("/orders/")
    assert list(page.context["page_obj"]) == [order]
    assert "Customer" not in page.content.decode()


@pytest.mark.parametrize(
    ("browser", "paid", "offered"),
    [
        ("as_lena", False, ["pay", "cancel"]),
        ("as_ada", False, ["pay", "cancel"]),
        ("as_sten", False, []),
        ("as_lena", True, []),
        ("as_sten", True, ["try_again", "refund"]),
    ],
)
def test_the_buttons_are_those_of_the_table(
    order: Order, pay: Pay, browser: str, paid: bool, offered: list[str],
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    if paid:
        pay(order)
    page = request.getfixturevalue(browser).get(f"/orders/{order.pk}/").content.decode()
    for name in ["pay", "cancel", "try_again", "refund"]:
        assert (f'id="act-{name}"' in page) == (name in offered), name


def test_an_order_that_is_not_there_is_not_found(as_ada: Client) -> None:
    assert as_ada.get("/orders/999/").status_code == 404


# --- the list --------------------------------------------------------------------------------


def test_the_list_narrows_to_a_status_and_counts_all(
    as_ada: Client, order: Order, omar: User
) -> None:
    other = OrderFactory.create(customer=omar)
    checkout.cancel(other, omar)
    page = as_ada.get("/orders/?status=cancelled")
    assert list(page.context["page_obj"]) == [other]
    counts = {choice.value: count for choice, count in page.context["chips"]}
    assert (counts["unpaid"], counts["cancelled"]) == (Count(1), Count(1))
    assert page.context["total"] == Count(2)


@pytest.mark.parametrize("text", ["web-01", "lena", "FISCHER", "small", "{pk}", "order {pk}", " "])
def test_the_search_finds_by_number_container_plan_and_customer(
    as_ada: Client, order: Order, text: str
) -> None:
    page = as_ada.get("/orders/", {"q": text.format(pk=order.pk)})
    assert list(page.context["page_obj"]) == [order]


@pytest.mark.parametrize("text", ["nothing like it", "9" * 40, "²", "%", "\0x"])
def test_a_search_for_nonsense_finds_nothing(as_ada: Client, order: Order, text: str) -> None:
    page = as_ada.get("/orders/", {"q": text})
    assert (page.status_code, list(page.context["page_obj"])) == (200, [])


def test_a_search_that_finds_too_much_says_so(
    as_ada: Client, lena: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (counting, listing):
        monkeypatch.setattr(module, "FAR_ENOUGH", 3)
    orders = OrderFactory.create_batch(5, customer=lena)
    page = as_ada.get("/orders/?q=lena")
    assert str(page.context["total"]) == "3+"
    assert list(page.context["page_obj"]) == orders[::-1]
    assert list(as_ada.get("/orders/?q=lena&status=paid").context["page_obj"]) == []


@pytest.mark.parametrize("query", ["status=flying", "page=x", "page=999"])
def test_an_address_that_makes_no_sense_shows_the_list(
    as_ada: Client, order: Order, query: str
) -> None:
    assert list(as_ada.get(f"/orders/?{query}").context["page_obj"]) == [order]


def test_the_list_takes_the_same_number_of_queries_however_long(
    as_ada: Client, node: Node, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    def queries() -> int:
        with django_assert_max_num_queries(20) as captured:
            assert as_ada.get("/orders/").status_code == 200
        return len(captured)

    OrderFactory.create()
    few = queries()
    OrderFactory.create_batch(20)
    assert queries() == few


# --- the buttons -----------------------------------------------------------------------------


def test_what_was_ordered_keeps_the_name_that_it_was_sold_under(
    as_lena: Client, order: Order, plan: Plan
) -> None:
    plan.name = "Tiny"
    plan.save()
    for path in ("/", "/orders/", f"/orders/{order.pk}/", f"/orders/{order.pk}/pay/"):
        page = as_lena.get(path).content.decode()
        assert "Small 1 GB" in page
        assert "Tiny" not in page
    assert checkout.open_payment(order, order.customer).description.startswith("Small 1 GB for")


def test_cancelling_asks_first_and_says_what_is_lost(as_lena: Client, order: Order) -> None:
    page = as_lena.get(f"/orders/{order.pk}/cancel/").content.decode()
    assert "The order itself stays on record." in page
    assert f">Cancel order {order.pk}?</h1>" in page
    order.refresh_from_db()
    assert order.status == Order.Status.UNPAID


def test_the_question_comes_as_a_dialog_to_htmx(as_lena: Client, order: Order) -> None:
    page = as_lena.get(f"/orders/{order.pk}/cancel/", headers=HTMX).content.decode()
    assert page.lstrip().startswith("<form")
    assert "<html" not in page


def test_a_question_that_comes_too_late_leads_to_the_order_and_not_into_the_dialog(
    as_lena: Client, order: Order
) -> None:
    as_lena.post(f"/orders/{order.pk}/cancel/")
    answer = as_lena.get(f"/orders/{order.pk}/cancel/", headers=HTMX)
    assert answer["HX-Redirect"] == f"/orders/{order.pk}/"
    assert "is cancelled already" in as_lena.get(f"/orders/{order.pk}/").content.decode()


def test_cancelling_leads_back_to_the_order(as_lena: Client, order: Order) -> None:
    response = as_lena.post(f"/orders/{order.pk}/cancel/", follow=True)
    assert f"Order {order.pk} is cancelled." in response.content.decode()


@pytest.mark.parametrize("method", ["get", "post"])
def test_cancelling_what_is_cancelled_says_so(
    as_lena: Client, lena: User, order: Order, method: str
) -> None:
    checkout.cancel(order, lena)
    response = getattr(as_lena, method)(f"/orders/{order.pk}/cancel/", follow=True)
    assert "is cancelled already" in response.content.decode()


def test_staff_refund_from_the_page(as_sten: Client, order: Order, pay: Pay) -> None:
    pay(order)
    as_sten.post(f"/orders/{order.pk}/refund/")
    order.refresh_from_db()
    assert order.status == Order.Status.REFUNDED


def test_a_refund_is_asked_with_its_amount_and_whom_it_goes_to(
    as_sten: Client, order: Order, pay: Pay
) -> None:
    pay(order)
    page = as_sten.get(f"/orders/{order.pk}/refund/").content.decode()
    assert "€4.90 goes back to Lena Fischer." in page
    assert ">Refund order</button>" in page


def test_a_cancellation_is_asked_without_an_amount(as_lena: Client, order: Order) -> None:
    page = as_lena.get(f"/orders/{order.pk}/cancel/").content.decode()
    assert "goes back" not in page
    assert ">Cancel order</button>" in page


@pytest.mark.parametrize("status", [Status.ORDERED, Status.DESTROYED])
def test_what_is_asked_before_a_cancellation_is_true_of_its_container(
    as_lena: Client, order: Order, status: Status
) -> None:
    Container.objects.filter(pk=order.container_id).update(status=status)
    page = as_lena.get(f"/orders/{order.pk}/cancel/").content.decode()
    assert "The order itself stays on record." in page
    assert ("is not created and leaves the list" in page) == (status == Status.ORDERED)


def test_staff_try_again_from_the_page(
    as_sten: Client, order: Order, pay: Pay, worker: Worker
) -> None:
    pay(order)
    NodeFactory.create()
    as_sten.post(f"/orders/{order.pk}/try-again/")
    worker.carry_out_all()
    order.refresh_from_db()
    assert order.status == Order.Status.FULFILLED


def test_work_on_the_container_costs_the_page_of_its_order_no_query(
    as_lena: Client, order: Order, node: Node, pay: Pay, worker: Worker, lena: User,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:  # fmt: skip
    def queries() -> int:
        with django_assert_max_num_queries(20) as captured:
            as_lena.get(f"/orders/{order.pk}/")
        return len(captured)

    pay(order)
    worker.carry_out_all()
    at_rest = queries()
    operations.request(order.container_id, "start", by=lena)
    assert queries() == at_rest
    order.container.operations.open().update(progress=40)
    assert queries() == at_rest
    assert 'value="40"' in as_lena.get(f"/orders/{order.pk}/").content.decode()


# --- the poll --------------------------------------------------------------------------------


@pytest.fixture(params=["/orders/", "/orders/{pk}/"])
def polled(request: pytest.FixtureRequest, order: Order) -> str:
    """A page that polls."""
    path: str = request.param.format(pk=order.pk)
    return path


def test_a_poll_with_nothing_new_answers_nothing(as_lena: Client, polled: str) -> None:
    seen = as_lena.get(polled).context["seen"]
    response = as_lena.get(polled, {"seen": seen}, headers=HTMX)
    assert (response.status_code, response.content) == (204, b"")


def test_a_poll_with_news_answers_the_fresh_section(
    as_lena: Client, polled: str, order: Order, lena: User
) -> None:
    seen = as_lena.get(polled).context["seen"]
    checkout.cancel(order, lena)
    response = as_lena.get(polled, {"seen": seen}, headers=HTMX)
    page = response.content.decode().strip()
    assert response.status_code == 200
    assert page.startswith("<section")
    assert "Cancelled" in page
    assert "<html" not in page


def test_a_poll_after_signing_out_leads_to_the_sign_in_page(client: Client, polled: str) -> None:
    response = client.get(polled, headers=HTMX)
    assert response["HX-Redirect"].startswith("/account/login/")


def test_progress_of_the_creation_is_news(
    as_lena: Client, order: Order, node: Node, pay: Pay
) -> None:
    pay(order)
    path = f"/orders/{order.pk}/"
    page = as_lena.get(path)
    assert page.context["poll_seconds"] == 2
    operation = order.container.operations.open().get()
    type(operation).objects.update(progress=40, step="unpacking")
    Container.objects.update(revision=99)
    fresh: Any = as_lena.get(path, {"seen": page.context["seen"]}, headers=HTMX)
    assert 'value="40"' in fresh.content.decode()


def test_a_payment_is_news_on_the_page_of_a_container_that_exists_already(
    as_lena: Client, created_unpaid: Order, pay: Pay
) -> None:
    path = created_unpaid.container.get_absolute_url()
    page = as_lena.get(path)
    assert "Unpaid" in page.content.decode()
    pay(created_unpaid)
    news = as_lena.get(path, {"seen": page.context["seen"]}, headers=HTMX)
    assert news.status_code == 200
    assert "Fulfilled" in news.content.decode()
    assert "Unpaid" not in news.content.decode()


def test_the_page_of_a_container_says_that_it_waits_for_money_only_where_it_does(
    as_lena: Client, order: Order, ada: User, node: Node, worker: Worker
) -> None:
    path, waits = order.container.get_absolute_url(), "It is created as soon as"
    assert waits in as_lena.get(path).content.decode()
    ask_and_wait(order.container, "create", worker, by=ada)
    assert waits not in as_lena.get(path).content.decode()
    ask_and_wait(order.container, "destroy", worker, by=ada)
    assert waits not in as_lena.get(path).content.decode()
    checkout.cancel(order, order.customer)
    assert waits not in as_lena.get(path).content.decode()


def test_an_idle_poll_is_cheap(
    as_lena: Client, order: Order, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    path = f"/orders/{order.pk}/"
    seen = as_lena.get(path).context["seen"]
    with django_assert_max_num_queries(4):
        as_lena.get(path, {"seen": seen}, headers=HTMX)


def test_an_administrator_who_creates_before_the_payment_is_asked_first(
    as_ada: Client, order: Order, node: Node
) -> None:
    button, create = f"/containers/{order.container_id}/act/", {"action": "create"}
    page = as_ada.post(button, create).content.decode()
    words = f"Order {order.pk} is not paid. Create it all the same? The order stays unpaid."
    assert words in page
    assert not Operation.objects.exists()
    as_ada.post(button, {**create, "confirmed": "yes"})
    assert Operation.objects.get().kind == "create"


def test_what_is_paid_is_created_without_a_question(as_ada: Client, order: Order, pay: Pay) -> None:
    pay(order)
    NodeFactory.create()
    as_ada.post(f"/containers/{order.container_id}/act/", {"action": "create"})
    assert Operation.objects.get().kind == "create"
