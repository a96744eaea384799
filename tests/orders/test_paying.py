"""The pay page with every kind of gateway: the simulated one, a form, pages elsewhere, none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from urllib.error import URLError

import pytest
from django import forms
from django.http import HttpRequest, HttpResponse
from django.test import Client
from payments import PaymentError, PaymentStatus, RedirectNeeded, core
from payments.core import BasicProvider
from payments.forms import PaymentForm
from pytest_django import Settings

from containers.models import Container, Node, Operation
from containers.statuses import Status
from orders import checkout
from orders.models import Order, Payment
from panel.models import User

from .conftest import Pay

pytestmark = pytest.mark.django_db

Use = Callable[[type[BasicProvider]], None]


class CardForm(PaymentForm):
    number = forms.CharField(label="Card number")


class Cards(BasicProvider):
    """A gateway that asks for a card on our own page."""

    def get_form(self, payment: Payment, data: Any = None) -> forms.Form:
        form = CardForm(data, provider=self, payment=payment, hidden_inputs=False)
        if form.is_valid():
            payment.change_status(PaymentStatus.CONFIRMED)
            raise RedirectNeeded(payment.get_success_url())
        return form


class Elsewhere(BasicProvider):
    """A gateway that takes the customer to its own pages, and reports from there."""

    def get_form(self, payment: Payment, data: Any = None) -> forms.Form:
        raise RedirectNeeded(f"https://gateway.example/session/{payment.token}")

    def process_data(self, payment: Payment, request: HttpRequest) -> HttpResponse:
        payment.change_status(request.POST["status"])
        payment.save()
        return HttpResponse("ok")


class Posting(BasicProvider):
    """A gateway whose form is sent to itself."""

    def get_form(self, payment: Payment, data: Any = None) -> forms.Form:
        fields = {"order": payment.order_id}
        form: forms.Form = PaymentForm(fields, action="https://gateway.example/pay")
        return form


class Slow(BasicProvider):
    """While it asks the bank, somebody destroys the container."""

    def get_form(self, payment: Payment, data: Any = None) -> forms.Form:
        Container.objects.update(status=Status.DESTROYED)
        payment.change_status(PaymentStatus.CONFIRMED)
        raise RedirectNeeded(payment.get_success_url())


class Broken(BasicProvider):
    def get_form(self, payment: Payment, data: Any = None) -> forms.Form:
        raise PaymentError("unsupported operation")


class Unplugged(BasicProvider):
    def get_form(self, payment: Payment, data: Any = None) -> forms.Form:
        raise URLError("no route to host")


@pytest.fixture
def use(settings: Settings) -> Iterator[Use]:
    """`use(Cards)`: the panel takes money through this gateway."""

    def through(provider: type[BasicProvider]) -> None:
        name = provider.__name__.lower()
        core.PROVIDER_CACHE.pop(name, None)
        settings.PAYMENT_VARIANTS = {name: (f"{__name__}.{provider.__name__}", {})}

    yield through
    for name in ("cards", "elsewhere", "posting", "slow", "broken", "unplugged"):
        core.PROVIDER_CACHE.pop(name, None)


@pytest.fixture
def url(order: Order) -> str:
    return f"/orders/{order.pk}/pay/"


def status_of(order: Order) -> str:
    order.refresh_from_db()
    return str(order.status)


# --- simulated -------------------------------------------------------------------------------


def test_the_pay_page_says_what_how_much_and_that_it_is_simulated(
    as_lena: Client, order: Order, url: str
) -> None:
    page = as_lena.get(url).content.decode()
    for words in ("web-01, Small 1 GB, one month", "€4.90", "simulated", "No money changes hands"):
        assert words in page
    assert not Payment.objects.exists()


def test_one_click_pays_and_starts_the_creation(
    as_lena: Client, order: Order, url: str, node: Node
) -> None:
    [chosen] = [o for o in as_lena.get(url).context["simulated"]["outcome"] if o.data["selected"]]
    response = as_lena.post(url, {"outcome": chosen.data["value"]}, follow=True)
    assert response.redirect_chain == [(f"/orders/{order.pk}/", 302)]
    assert f"Order {order.pk} is paid." in response.content.decode()
    assert status_of(order) == Order.Status.PAID
    assert Operation.objects.filter(container=order.container_id, kind="create").count() == 1
    payment = Payment.objects.get()
    assert (payment.total, payment.captured_amount, payment.currency) == (
        Decimal("4.90"), Decimal("4.90"), "EUR"
    )  # fmt: skip


def test_the_form_of_the_pay_page_sent_again_pays_no_second_time(
    as_lena: Client, order: Order, url: str, node: Node
) -> None:
    as_lena.post(url, {"outcome": "succeeds"})
    response = as_lena.post(url, {"outcome": "succeeds"}, follow=True)
    assert "is paid already" in response.content.decode()
    assert Payment.objects.count() == 1
    assert Operation.objects.count() == 1


def test_paying_a_paid_order_shows_the_order(
    as_lena: Client, order: Order, url: str, pay: Pay
) -> None:
    pay(order)
    response = as_lena.get(url, follow=True)
    assert response.redirect_chain == [(f"/orders/{order.pk}/", 302)]
    assert "is paid already" in response.content.decode()


def test_paying_a_cancelled_order_is_refused_in_words(
    as_lena: Client, lena: User, order: Order, url: str
) -> None:
    checkout.cancel(order, lena)
    assert (
        "is cancelled already"
        in as_lena.post(url, {"outcome": "succeeds"}, follow=True).content.decode()
    )
    assert not Payment.objects.exists()


def test_a_refused_payment_says_so_and_can_be_tried_again(
    as_lena: Client, order: Order, url: str, node: Node
) -> None:
    page = as_lena.post(url, {"outcome": "refused"}, follow=True).content.decode()
    assert "The payment did not succeed. Nothing was charged." in page
    assert "Payment refused" in page
    assert status_of(order) == Order.Status.UNPAID
    as_lena.post(url, {"outcome": "succeeds"})
    assert status_of(order) == Order.Status.PAID


def test_a_gateway_that_cannot_be_reached_is_said_in_plain_words(
    as_lena: Client, order: Order, url: str
) -> None:
    page = as_lena.post(url, {"outcome": "unreachable"}, follow=True).content.decode()
    assert "cannot be reached just now" in page
    assert status_of(order) == Order.Status.UNPAID


@pytest.mark.parametrize("sent", [{}, {"outcome": "x"}, {"status": "confirmed"}])
def test_a_form_that_says_nothing_of_the_outcome_is_asked_again(
    as_lena: Client, url: str, sent: dict[str, str]
) -> None:
    response = as_lena.post(url, sent)
    assert response.context["simulated"] is not None
    assert not Payment.objects.exists()


def test_staff_who_are_not_administrators_do_not_pay(as_sten: Client, url: str) -> None:
    assert "not for you" in as_sten.post(url, {"outcome": "succeeds"}, follow=True).content.decode()
    assert not Payment.objects.exists()


# --- other gateways --------------------------------------------------------------------------


def test_a_gateways_own_form_is_shown_and_taken(
    as_lena: Client, order: Order, url: str, node: Node, use: Use
) -> None:
    use(Cards)
    assert "Card number" not in as_lena.get(url).content.decode()
    assert "Card number" in as_lena.post(url, {"begin": "yes"}).content.decode()
    assert "This field is required" in as_lena.post(url, {"number": ""}).content.decode()
    as_lena.post(url, {"number": "4111"})
    assert status_of(order) == Order.Status.PAID
    assert Payment.objects.count() == 1


def test_a_gateway_with_pages_of_its_own_is_a_link_that_opens_by_itself(
    as_lena: Client, order: Order, url: str, use: Use
) -> None:
    use(Elsewhere)
    response = as_lena.post(url, {"begin": "yes"})
    page = response.content.decode()
    target = f"https://gateway.example/session/{Payment.objects.get().token}"
    assert f'<a class="btn primary" href="{target}"' in page
    assert f'http-equiv="refresh" content="0; url={target}"' in page
    assert order.status == Order.Status.UNPAID


def test_a_gateway_reports_without_signing_in_and_as_often_as_it_likes(
    as_lena: Client, client: Client, order: Order, url: str, node: Node, use: Use
) -> None:
    use(Elsewhere)
    as_lena.post(url, {"begin": "yes"})
    notice = f"/payments/process/{Payment.objects.get().token}/"
    for status in ("confirmed", "confirmed", "rejected", "confirmed"):
        assert client.post(notice, {"status": status}).status_code == 200
    assert status_of(order) == Order.Status.PAID
    assert Payment.objects.get().status == PaymentStatus.CONFIRMED
    assert Operation.objects.count() == 1


def test_a_form_for_the_gateway_itself_may_be_sent_there_without_our_token(
    as_lena: Client, url: str, use: Use
) -> None:
    use(Posting)
    response = as_lena.post(url, {"begin": "yes"})
    assert "form-action 'self' https://gateway.example" in response["Content-Security-Policy"]
    form = response.content.decode().split('action="https://gateway.example/pay"')[1]
    assert "csrfmiddlewaretoken" not in form.split("</form>")[0]


def test_nobody_is_thanked_for_money_that_is_to_be_given_back(
    as_lena: Client, order: Order, url: str, use: Use
) -> None:
    use(Slow)
    page = as_lena.post(url, {"begin": "yes"}, follow=True).content.decode()
    assert f"order {order.pk} does not need it: it is to be given back" in page
    assert "Thank you" not in page
    assert status_of(order) == Order.Status.UNPAID


def test_the_pay_page_of_what_was_destroyed_leads_back_and_says_why(
    as_lena: Client, destroyed_unpaid: Order
) -> None:
    response = as_lena.get(f"/orders/{destroyed_unpaid.pk}/pay/", follow=True)
    assert response.redirect_chain == [(f"/orders/{destroyed_unpaid.pk}/", 302)]
    assert "is destroyed already: too late for “Pay”" in response.content.decode()


@pytest.mark.parametrize("gateway", [Broken, Unplugged])
def test_a_gateway_that_fails_is_no_error_page(
    as_lena: Client, order: Order, url: str, use: Use, gateway: type[BasicProvider]
) -> None:
    use(gateway)
    response = as_lena.post(url, {"begin": "yes"}, follow=True)
    assert response.redirect_chain == [(f"/orders/{order.pk}/", 302)]
    assert "try again in a minute" in response.content.decode()
    assert Payment.objects.get().asking_since is None


def test_what_a_gateway_still_checks_is_not_paid_again(
    as_lena: Client, order: Order, url: str
) -> None:
    checkout.open_payment(order, order.customer).change_status(PaymentStatus.PREAUTH)
    page = as_lena.post(url, {"outcome": "succeeds"}, follow=True).content.decode()
    assert "still checking your payment" in page
    assert Payment.objects.count() == 1
