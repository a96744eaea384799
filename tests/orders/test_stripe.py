"""Stripe as the gateway, by its own library, against a small server that plays it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from time import sleep
from typing import Any

import pytest
import stripe
from django.test import Client
from payments import PaymentStatus, core
from pytest_django import Settings

from containers.models import Node, Operation
from orders import checkout
from orders.checkout import Refused, paying
from orders.models import NoticeCount, Order, Payment
from orders.stripe import ANSWERS_WITHIN, StripeGateway
from panel.models import User
from tests.conftest import Clock, JustThen
from tests.orders.conftest import LONG, Clicks, read
from tests.stripe_server import SECRET, Stripe, notice, signature, stripe_server

GATEWAY = "orders.stripe.StripeGateway"
WEBHOOK = "/payments/process/card/"
TRIES = 1 + stripe.max_network_retries
COMPLETED, EXPIRED = "checkout.session.completed", "checkout.session.expired"
FAILED = "checkout.session.async_payment_failed"
SUCCEEDED = "checkout.session.async_payment_succeeded"
PAID = {"status": "complete", "payment_status": "paid", "payment_intent": "pi_1", "url": None}
# By direct debit or bank transfer the money comes days later.
ON_ITS_WAY = PAID | {"payment_status": "unpaid"}


@pytest.fixture(autouse=True)
def server(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stripe]:
    """The panel takes money through this Stripe."""
    options = {"api_key": "sk_test_1", "endpoint_secret": SECRET}
    settings.PAYMENT_VARIANTS = {"card": [GATEWAY, options]}
    core.PROVIDER_CACHE.pop("card", None)
    monkeypatch.setattr(stripe, "default_http_client", None)
    monkeypatch.setattr(stripe, "max_network_retries", 0)
    with stripe_server() as server:
        monkeypatch.setattr(stripe, "api_base", server.url)
        yield server
    core.PROVIDER_CACHE.pop("card", None)


def begin(client: Client, order: Order) -> str:
    """Press Pay, and read the page that comes."""
    page = client.post(f"/orders/{order.pk}/pay/", {"begin": "yes"}, follow=True)
    return page.content.decode()


def tell(body: bytes, sign: str | None = None, *, to: str = WEBHOOK) -> int:
    """Report to the panel, signed as Stripe does it, if nothing else is said; how it answers."""
    sign = signature(body) if sign is None else sign
    headers = {"Stripe-Signature": sign} if sign else {}
    anybody = Client(raise_request_exception=False)
    told = anybody.post(to, body, content_type="application/json", headers=headers)
    return int(told.status_code)


@pytest.fixture
def paid(order: Order, node: Node, as_lena: Client, server: Stripe) -> Payment:
    """Lena has paid at Stripe."""
    begin(as_lena, order)
    assert tell(notice(COMPLETED, server.sessions[0], **PAID)) == 200
    payment: Payment = Payment.objects.get()
    return payment


@pytest.fixture
def surplus(paid: Payment) -> Payment:
    """That is to be given back."""
    Payment.objects.update(is_surplus=True)
    return paid


# --- paying ----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_double_click_makes_one_session(click: Clicks, server: Stripe) -> None:
    server.may_answer.clear()
    first = click()
    assert server.asked.wait(LONG)
    second = click()
    sleep(0.4)
    server.may_answer.set()
    for page in (read(first), read(second)):
        assert 'href="https://checkout.stripe.com/1"' in page
    assert len(server.sessions) == 1
    assert Payment.objects.get().transaction_id == "cs_1"


def test_pay_leads_to_a_session_over_what_the_order_costs(
    as_lena: Client, order: Order, server: Stripe
) -> None:
    for _ in range(2):
        assert 'href="https://checkout.stripe.com/1"' in begin(as_lena, order)
    [session] = server.sessions
    payment = Payment.objects.get()
    assert (session["amount_total"], session["client_reference_id"]) == (490, payment.token)
    assert f"order {order.pk}" in session["product"]
    assert payment.token not in session["product"]


def test_a_session_is_in_the_currency_of_the_order_alone_and_leads_back_to_it(
    as_lena: Client, order: Order, server: Stripe
) -> None:
    begin(as_lena, order)
    [wanted] = server.wanted
    assert wanted["adaptive_pricing[enabled]"] == "false"
    assert (wanted["mode"], wanted["line_items[0][quantity]"]) == ("payment", "1")
    assert wanted["success_url"].endswith(order.get_absolute_url())
    assert wanted["cancel_url"].endswith(order.get_absolute_url())


@pytest.mark.parametrize("email", ["lena@example.com", ""])
def test_stripe_is_told_an_address_only_where_there_is_one(
    as_lena: Client, lena: User, order: Order, server: Stripe, email: str
) -> None:
    """An empty one it would refuse, and nobody without an address could pay."""
    User.objects.filter(pk=lena.pk).update(email=email)
    begin(as_lena, order)
    [wanted] = server.wanted
    assert wanted.get("customer_email") == (email or None)


@pytest.mark.parametrize(
    ("currency", "price", "units"),
    # Of what has lost its hundredths, Stripe still counts some in them.
    [("EUR", "9.50", 950), ("JPY", "950", 950), ("ISK", "950", 95000), ("UGX", "950", 95000)],
)
def test_a_price_is_counted_as_stripe_counts_its_currency(
    server: Stripe, currency: str, price: str, units: int
) -> None:
    gateway = StripeGateway("sk_test_1", SECRET)
    assert gateway.convert_amount(currency, Decimal(price)) == units


def test_what_stripe_reports_as_paid_pays_once_however_often_it_is_told(
    paid: Payment, server: Stripe
) -> None:
    assert tell(notice(COMPLETED, server.sessions[0], **PAID)) == 200
    assert (paid.status, paid.order.status) == (PaymentStatus.CONFIRMED, Order.Status.PAID)
    assert Operation.objects.filter(kind="create").count() == 1
    counted = dict(NoticeCount.objects.values_list("outcome", "count"))
    assert counted == {"accepted": 1, "duplicate": 1}


def test_a_session_that_expires_without_money_lets_the_customer_begin_anew(
    as_lena: Client, order: Order, server: Stripe
) -> None:
    begin(as_lena, order)
    assert tell(notice(EXPIRED, server.sessions[0], status="expired")) == 200
    assert 'href="https://checkout.stripe.com/2"' in begin(as_lena, order)
    assert [p.status for p in Payment.objects.order_by("pk")] == ["rejected", "waiting"]


def test_a_payment_that_takes_days_is_waited_for_and_not_begun_twice(
    as_lena: Client, order: Order, node: Node, server: Stripe
) -> None:
    begin(as_lena, order)
    assert tell(notice(COMPLETED, server.sessions[0], **ON_ITS_WAY)) == 200
    assert "The gateway is still checking your payment." in begin(as_lena, order)
    assert tell(notice(SUCCEEDED, server.sessions[0], **PAID)) == 200
    payment = Payment.objects.get()
    assert (payment.status, payment.order.status) == (PaymentStatus.CONFIRMED, Order.Status.PAID)
    assert len(server.sessions) == 1


@pytest.mark.parametrize("told", [[COMPLETED, FAILED], [FAILED, COMPLETED], [FAILED]])
def test_one_that_fails_after_days_lets_the_customer_begin_anew(
    as_lena: Client, order: Order, server: Stripe, told: list[str]
) -> None:
    begin(as_lena, order)
    for kind in told:
        assert tell(notice(kind, server.sessions[0], **ON_ITS_WAY)) == 200
    assert 'href="https://checkout.stripe.com/2"' in begin(as_lena, order)
    assert [p.status for p in Payment.objects.order_by("pk")] == ["rejected", "waiting"]


@pytest.mark.django_db(transaction=True)
def test_a_session_of_which_nothing_was_told_is_asked_for_once_it_has_run_out(
    as_lena: Client, order: Order, server: Stripe, clock: Clock
) -> None:
    begin(as_lena, order)
    clock.advance(by=timedelta(hours=25))
    assert 'href="https://checkout.stripe.com/1"' in begin(as_lena, order)
    server.sessions[0] |= {"status": "expired", "url": None}
    assert "Nothing was charged. Try again." in begin(as_lena, order)
    assert 'href="https://checkout.stripe.com/2"' in begin(as_lena, order)
    assert [p.status for p in Payment.objects.order_by("pk")] == ["rejected", "waiting"]


@pytest.mark.parametrize(
    ("now", "said"),
    [(PAID, "Order {} is paid."), (ON_ITS_WAY, "The gateway is still checking your payment.")],
)
def test_a_session_that_turns_out_to_be_paid_makes_no_second_one(
    as_lena: Client, order: Order, node: Node, server: Stripe, clock: Clock,
    now: dict[str, str], said: str,
) -> None:  # fmt: skip
    begin(as_lena, order)
    server.sessions[0] |= now
    clock.advance(by=timedelta(hours=25))
    assert said.format(order.pk) in begin(as_lena, order)
    begin(as_lena, order)
    assert len(server.sessions) == 1


@pytest.mark.parametrize("trouble", ["no answer", "refused"])
def test_while_it_is_not_known_what_became_of_a_session_there_is_no_second_one(
    as_lena: Client, order: Order, server: Stripe, clock: Clock, trouble: str
) -> None:
    begin(as_lena, order)
    clock.advance(by=timedelta(hours=25))
    server.hangs_up = trouble == "no answer"
    server.refuses = (429, "Too many requests") if trouble == "refused" else None
    for _ in range(2):
        assert "The gateway did not take the payment" in begin(as_lena, order)
    assert Payment.objects.get().status == PaymentStatus.WAITING
    assert len(server.sessions) == 1


def test_a_session_without_a_page_is_no_error_page(
    as_lena: Client, order: Order, server: Stripe
) -> None:
    begin(as_lena, order)
    server.sessions[0]["url"] = None
    Payment.objects.update(extra_data=json.dumps({"session": server.sessions[0]}))
    assert "The gateway did not take the payment" in begin(as_lena, order)


def test_without_an_answer_from_stripe_the_payment_stays_open(
    as_lena: Client, order: Order, server: Stripe
) -> None:
    server.hangs_up = True
    assert "cannot be reached just now" in begin(as_lena, order)
    server.hangs_up = False
    assert "https://checkout.stripe.com/" in begin(as_lena, order)
    assert Payment.objects.get().status == PaymentStatus.WAITING


def test_what_stripe_refuses_is_no_error_page_and_staff_see_why(
    as_lena: Client, order: Order, server: Stripe
) -> None:
    server.refuses = (401, "Invalid API Key provided")
    assert "The gateway did not take the payment" in begin(as_lena, order)
    payment = Payment.objects.get()
    assert (payment.status, payment.message) == (PaymentStatus.ERROR, "Invalid API Key provided")


def test_stripe_is_given_up_before_somebody_else_may_ask_it() -> None:
    assert paying.ASKING_TAKES.total_seconds() - 10 > TRIES * ANSWERS_WITHIN


# --- notices ---------------------------------------------------------------------------------


@pytest.mark.parametrize("own_address", [False, True])
@pytest.mark.parametrize("forgery", ["unsigned", "forged", "garbled", "old", "torn", "no text"])
def test_what_stripe_has_not_signed_is_refused_without_an_error_of_ours(
    as_lena: Client, order: Order, server: Stripe, forgery: str, own_address: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    begin(as_lena, order)
    body = notice(COMPLETED, server.sessions[0], **PAID)
    torn, no_text = body[:-2], b"\xff" + body
    sent, sign = {
        "unsigned": (body, ""),
        "forged": (body, signature(body, secret="whsec_other")),
        "garbled": (body, "t=now"),
        "old": (body, signature(body, age=3600)),
        "torn": (torn, signature(torn)),
        "no text": (no_text, signature(no_text)),
    }[forgery]
    to = f"/payments/process/{Payment.objects.get().token}/" if own_address else WEBHOOK
    assert tell(sent, sign, to=to) == 400
    assert Payment.objects.get().status == PaymentStatus.WAITING
    assert NoticeCount.objects.get().outcome == "refused"
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
    "other",
    [
        {"id": "cs_link", "metadata": {}},
        {"id": "cs_shop", "metadata": None},
        {"id": "cs_link", "metadata": {"berth_payment": "another"}},
        {"amount_total": 489},
        {"currency": "usd"},
        {"client_reference_id": "00000000-0000-4000-8000-000000000000"},
    ],
    ids=str,
)
def test_a_paid_session_that_the_panel_has_not_made_for_it_pays_nothing_and_staff_see_it(
    as_lena: Client, as_sten: Client, order: Order, node: Node, server: Stripe,
    caplog: pytest.LogCaptureFixture, other: dict[str, Any],
) -> None:  # fmt: skip
    begin(as_lena, order)
    payment = Payment.objects.get()
    to = f"/payments/process/{payment.token}/"
    assert tell(notice(COMPLETED, server.sessions[0], **PAID | other), to=to) == 400
    order.refresh_from_db()
    payment.refresh_from_db()
    assert (order.status, payment.status) == (Order.Status.UNPAID, PaymentStatus.WAITING)
    assert NoticeCount.objects.get().outcome == "refused"
    assert "that is no session of the panel&#x27;s" in (
        as_sten.get(f"/admin/orders/order/{order.pk}/change/").content.decode()
    )
    assert [r for r in caplog.records if r.levelname == "ERROR" and "no session" in r.message]
    assert tell(notice(COMPLETED, server.sessions[0], **PAID)) == 200
    assert Payment.objects.get().status == PaymentStatus.CONFIRMED


def test_a_session_of_the_payments_own_pays_it_whatever_was_done_to_its_metadata(
    as_lena: Client, order: Order, node: Node, server: Stripe
) -> None:
    begin(as_lena, order)
    assert tell(notice(COMPLETED, server.sessions[0], **PAID | {"metadata": {}})) == 200
    assert Payment.objects.get().order.status == Order.Status.PAID


def test_what_stripe_reports_of_anything_else_changes_nothing(
    as_lena: Client, order: Order, server: Stripe
) -> None:
    begin(as_lena, order)
    assert tell(notice("checkout.session.updated", server.sessions[0], **PAID)) == 200
    assert Payment.objects.get().status == PaymentStatus.WAITING
    assert NoticeCount.objects.get().outcome == "duplicate"


def test_a_session_whose_answer_was_lost_pays_for_what_it_was_made(
    as_lena: Client, order: Order, node: Node, server: Stripe
) -> None:
    server.hangs_up = True
    begin(as_lena, order)
    server.hangs_up = False
    assert tell(notice(COMPLETED, server.sessions[0], **PAID)) == 200
    payment = Payment.objects.get()
    assert (payment.transaction_id, payment.order.status) == ("cs_1", Order.Status.PAID)


def test_a_second_session_that_is_paid_as_well_is_to_be_given_back_once(
    paid: Payment, sten: User, server: Stripe
) -> None:
    second = server.sessions[0] | {"id": "cs_0"}
    for _ in range(2):
        assert tell(notice(COMPLETED, second, **PAID | {"payment_intent": "pi_2"})) == 200
        assert tell(notice(COMPLETED, server.sessions[0], **PAID)) == 200
    surplus = Payment.objects.get(is_surplus=True)
    assert Payment.objects.get(is_surplus=False) == paid
    assert Operation.objects.filter(kind="create").count() == 1
    checkout.give_back(surplus, sten)
    [refund] = server.refunds
    assert (refund["payment_intent"], refund["amount"]) == ("pi_2", "490")


@pytest.mark.django_db(transaction=True)
def test_of_two_sessions_that_are_paid_at_once_one_is_to_be_given_back(
    as_lena: Client, order: Order, node: Node, server: Stripe, just_then: JustThen
) -> None:
    begin(as_lena, order)
    second = server.sessions[0] | {"id": "cs_0"}
    other = just_then(Payment, "refresh_from_db", lambda: tell(notice(COMPLETED, second, **PAID)))
    assert (tell(notice(COMPLETED, server.sessions[0], **PAID)), other()) == (200, 200)
    assert sorted(Payment.objects.values_list("is_surplus", flat=True)) == [False, True]


def test_a_session_that_expires_after_another_was_paid_leaves_that_one(
    paid: Payment, server: Stripe
) -> None:
    assert tell(notice(EXPIRED, server.sessions[0], id="cs_0", status="expired")) == 200
    now = Payment.objects.get()
    assert (now.status, now.transaction_id) == (PaymentStatus.CONFIRMED, "cs_1")
    assert (now.attrs.session["id"], now.attrs.session["payment_intent"]) == ("cs_1", "pi_1")


def test_what_becomes_of_a_session_that_is_not_the_payments_own_leaves_it_open(
    as_lena: Client, order: Order, server: Stripe
) -> None:
    begin(as_lena, order)
    other = server.sessions[0] | {"id": "cs_0"}
    assert tell(notice(EXPIRED, other, status="expired")) == 200
    assert tell(notice(COMPLETED, other, **ON_ITS_WAY)) == 200
    assert 'href="https://checkout.stripe.com/1"' in begin(as_lena, order)
    assert Payment.objects.get().status == PaymentStatus.WAITING


def test_a_payment_that_was_called_off_is_not_called_refused(
    as_lena: Client, order: Order, server: Stripe
) -> None:
    begin(as_lena, order)
    Payment.objects.get().change_status(PaymentStatus.CANCELLED)
    assert tell(notice(EXPIRED, server.sessions[0], status="expired")) == 200
    assert Payment.objects.get().status == PaymentStatus.CANCELLED


# --- giving back -----------------------------------------------------------------------------


def test_the_money_is_given_back_by_what_it_came_by(
    surplus: Payment, sten: User, server: Stripe
) -> None:
    late = notice(EXPIRED, server.sessions[0], id="cs_0", status="expired")
    assert tell(late) == 200
    checkout.give_back(surplus, sten)
    [refund] = server.refunds
    assert (refund["payment_intent"], refund["amount"]) == ("pi_1", "490")
    now = Payment.objects.get()
    assert (now.status, now.captured_amount) == (PaymentStatus.REFUNDED, 0)
    assert json.loads(now.extra_data)["refund"]["id"] == "re_1"


def test_asked_again_after_an_answer_was_lost_stripe_gives_back_once(
    surplus: Payment, sten: User, server: Stripe, clock: Clock
) -> None:
    server.hangs_up = True
    with pytest.raises(Refused, match="not known"):
        checkout.give_back(surplus, sten)
    server.hangs_up = False
    clock.advance(by=timedelta(minutes=6))
    checkout.give_back(surplus, sten)
    assert len(server.refunds) == 1
    assert len(server.keys) == 2
    assert Payment.objects.get().status == PaymentStatus.REFUNDED


@pytest.mark.parametrize("status", [500, 503, 409])
def test_where_stripe_has_trouble_of_its_own_it_is_not_known_whether_it_gave_back(
    surplus: Payment, sten: User, server: Stripe, status: int
) -> None:
    server.refuses = (status, "try again later")
    with pytest.raises(Refused, match="not known"):
        checkout.give_back(surplus, sten)


def test_what_stripe_has_refused_to_give_back_can_be_asked_for_anew(
    surplus: Payment, sten: User, server: Stripe
) -> None:
    server.refuses = (400, "Insufficient funds")
    with pytest.raises(Refused, match=r"did not give .* back: Insufficient funds"):
        checkout.give_back(surplus, sten)
    server.refuses = None
    checkout.give_back(surplus, sten)
    # To a key that it knows, Stripe repeats its answer for a day, a refusal as well.
    assert len(set(server.keys)) == 2
    assert len(server.refunds) == 1
    assert Payment.objects.get().status == PaymentStatus.REFUNDED


def test_what_never_went_through_stripe_is_not_asked_back_there(
    order: Order, sten: User, server: Stripe
) -> None:
    payment = checkout.open_payment(order, order.customer)
    payment.change_status(PaymentStatus.CONFIRMED)
    Payment.objects.update(is_surplus=True)
    with pytest.raises(Refused, match="did not give"):
        checkout.give_back(payment, sten)
    assert not server.keys
