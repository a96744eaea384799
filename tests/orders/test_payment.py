"""The row of a payment: what has come to be is not written over by what was read before."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from django.utils import timezone
from payments import PaymentStatus
from payments.dummy import DummyProvider

from containers.models import Node
from orders import checkout
from orders.models import Order, Payment
from panel.models import User

pytestmark = pytest.mark.django_db

Refund = Callable[[DummyProvider, Payment, Decimal], Decimal]


@pytest.fixture
def payment(order: Order, node: Node) -> Payment:
    """Begun, with a session at the gateway."""
    begun = checkout.open_payment(order, order.customer)
    begun.transaction_id, begun.attrs.session = "cs_1", {"id": "cs_1"}
    begun.save()
    return begun


def fresh(payment: Payment) -> Payment:
    now: Payment = Payment.objects.get(pk=payment.pk)
    return now


def paid(payment: Payment) -> None:
    """As a provider takes the notice: first the status, then the session as it is now."""
    payment.change_status(PaymentStatus.CONFIRMED, "as reported")
    payment.attrs.session = {"id": "cs_1", "payment_intent": "pi_1"}
    payment.save()


def test_until_it_is_paid_a_row_saved_whole_keeps_what_the_provider_has_put_there(
    payment: Payment,
) -> None:
    assert (fresh(payment).transaction_id, fresh(payment).attrs.session) == ("cs_1", {"id": "cs_1"})


def test_a_row_read_earlier_and_saved_whole_leaves_what_was_decided_since(payment: Payment) -> None:
    read_earlier, since = fresh(payment), timezone.now()
    payment.change_status(PaymentStatus.REJECTED, "no funds")
    Payment.objects.update(is_surplus=True, giving_back_since=since, asking_since=since)
    read_earlier.billing_city = "Bremen"
    read_earlier.save()
    now = fresh(payment)
    assert (now.status, now.message, now.billing_city) == ("rejected", "no funds", "Bremen")
    assert (now.is_surplus, now.giving_back_since, now.asking_since) == (True, since, since)


def test_the_notice_that_brings_the_money_brings_what_it_is_given_back_by(payment: Payment) -> None:
    paid(payment)
    assert fresh(payment).attrs.session["payment_intent"] == "pi_1"


@pytest.mark.parametrize("status", [None, PaymentStatus.REJECTED, PaymentStatus.CONFIRMED])
def test_a_late_notice_about_another_session_leaves_that_of_the_money(
    payment: Payment, status: str | None
) -> None:
    late = fresh(payment)
    paid(payment)
    if status:
        late.change_status(status)
    late.transaction_id, late.attrs.session = "cs_2", {"id": "cs_2"}
    late.save()
    now = fresh(payment)
    assert (now.status, now.captured_amount) == (PaymentStatus.CONFIRMED, Decimal("4.90"))
    assert (now.transaction_id, now.attrs.session["id"]) == ("cs_1", "cs_1")


def test_nor_does_it_where_the_money_came_after_its_own_was_refused(payment: Payment) -> None:
    refused = fresh(payment)
    refused.change_status(PaymentStatus.REJECTED)
    paid(payment)
    refused.transaction_id = "cs_2"
    refused.save()
    assert fresh(payment).transaction_id == "cs_1"


def test_nor_does_it_once_the_money_was_given_back(payment: Payment, ada: User) -> None:
    late = fresh(payment)
    paid(payment)
    Payment.objects.update(is_surplus=True)
    checkout.give_back(payment, ada)
    late.captured_amount = late.total
    late.change_status(PaymentStatus.CONFIRMED)
    late.attrs.session = {"id": "cs_2"}
    late.save()
    now = fresh(payment)
    assert (now.status, now.captured_amount) == (PaymentStatus.REFUNDED, 0)
    assert now.attrs.session["id"] == "cs_1"


def returns(_: DummyProvider, payment: Payment, amount: Decimal) -> Decimal:
    return amount


def saves(_: DummyProvider, payment: Payment, amount: Decimal) -> Decimal:
    payment.attrs.refund = "re_1"
    payment.save()
    return amount


def changes_the_status(_: DummyProvider, payment: Payment, amount: Decimal) -> Decimal:
    payment.attrs.refund = "re_1"
    payment.change_status(PaymentStatus.REFUNDED)
    return amount


@pytest.mark.parametrize("refund", [returns, saves, changes_the_status])
def test_whichever_way_a_provider_gives_back_nothing_is_left_and_its_receipt_is_kept(
    payment: Payment, ada: User, refund: Refund, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DummyProvider, "refund", refund)
    paid(payment)
    Payment.objects.update(is_surplus=True)
    checkout.give_back(payment, ada)
    now = fresh(payment)
    assert (now.status, now.captured_amount) == (PaymentStatus.REFUNDED, 0)
    assert ("refund" in now.extra_data) == (refund is not returns)
