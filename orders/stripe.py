"""Stripe as a gateway: only what it has signed is believed, and what it has not answered counts as
not known, never as refused."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import stripe
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from payments import PaymentError, PaymentStatus, RedirectNeeded
from payments.stripe import StripeProviderV3
from payments.stripe.providers import stripe_enabled_events

from orders.models import Order, Payment
from orders.models.payment import AFTER, OPEN

logger = logging.getLogger(__name__)

# The entry in a session's metadata by which the panel knows what it has made: the payment's token
# alone does not tell, as everybody may add that to the address of a payment link.
MADE_FOR = "berth_payment"
# Seconds for one answer. The library tries three times, and has to have ended before another
# process may ask the same (`checkout.paying.ASKING_TAKES`).
ANSWERS_WITHIN = 12.0


class StripeGateway(StripeProviderV3):
    """The provider of django-payments, made to work with today's library of Stripe, whose objects
    are no dictionaries any more.

    `api_key` is a secret key that may write checkout sessions and refunds, `endpoint_secret` the
    signing secret of the webhook. Methods raise PaymentError for what Stripe refuses, and OSError
    where it is not known what it has done.
    """

    def __init__(self, api_key: str, endpoint_secret: str) -> None:
        if not api_key or not endpoint_secret:
            raise ImproperlyConfigured("api_key and endpoint_secret must not be empty")
        super().__init__(api_key=api_key, endpoint_secret=endpoint_secret)
        stripe.default_http_client = stripe.RequestsClient(timeout=ANSWERS_WITHIN)

    def get_form(self, payment: Payment, data: Any = None) -> Any:
        """Raises RedirectNeeded: to Stripe's page, or back to the order if there is nothing to be
        paid there any more. If a session has run out and Stripe has not reported what came of it,
        it is asked: as long as that is not known, no other session may be made."""
        if payment.transaction_id and _has_run_out(payment.attrs.session):
            self._take(payment, self._look_at(payment.transaction_id))
            if payment.status not in OPEN:
                raise RedirectNeeded(payment.get_success_url())
        try:
            return super().get_form(payment, data)
        except RedirectNeeded as to:
            if not payment.attrs.session.get("url"):
                raise PaymentError("Stripe has no page any more where this can be paid") from to
            raise

    def create_session(self, payment: Payment) -> dict[str, Any]:
        """A new checkout session over what the payment costs."""
        item: stripe.params.checkout.SessionCreateParamsLineItem = {
            "quantity": 1,
            "price_data": {
                "currency": payment.currency.lower(),
                "unit_amount": self.convert_amount(payment.currency, payment.total),
                "product_data": {"name": payment.description},
            },
        }
        with _asking():
            made = stripe.checkout.Session.create(
                api_key=self.api_key,
                mode="payment",
                line_items=[item],
                # Else Stripe may ask for another currency than the order's.
                adaptive_pricing={"enabled": False},
                success_url=payment.get_success_url(),
                cancel_url=payment.get_failure_url(),
                client_reference_id=payment.token,
                metadata={MADE_FOR: payment.token},
                **({"customer_email": payment.billing_email} if payment.billing_email else {}),
            )
        return _plain(made)

    def convert_amount(self, currency: str, amount: Decimal) -> int:
        """In the units that Stripe counts in. It still counts UGX in hundredths that are gone."""
        units: int = super().convert_amount(currency, amount)
        return units * 100 if currency == "UGX" else units

    def refund(self, payment: Payment, amount: Decimal | None = None) -> Decimal:
        """Give back so much, or all that has come; the same asked again is given back once."""
        given = amount or payment.captured_amount
        source = getattr(payment.attrs, "session", {}).get("payment_intent")
        if not source:
            raise PaymentError("Stripe has not said by which payment_intent it was paid")
        refused = getattr(payment.attrs, "refunds_refused", 0)
        try:
            with _asking():
                made = stripe.Refund.create(
                    api_key=self.api_key,
                    payment_intent=source,
                    amount=self.convert_amount(payment.currency, given),
                    reason="requested_by_customer",
                    # Stripe repeats its answer to a key for a day, a refusal as well.
                    idempotency_key=f"refund-{payment.token}-{given}-{refused}",
                )
        except PaymentError:
            payment.attrs.refunds_refused = refused + 1
            payment.save()
            raise
        payment.attrs.refund = _plain(made)
        payment.save()
        return given

    def process_data(self, payment: Payment, request: HttpRequest) -> JsonResponse:
        """Take what Stripe reports of a session. What is refused is kept with the payment."""
        event = self.return_event_payload(request)
        if event.get("type") in stripe_enabled_events:
            failed = event["type"] == "checkout.session.async_payment_failed"
            try:
                self._take(payment, event["data"]["object"], failed=failed)
            except PaymentError as error:
                # Raised any further, it would undo what is written down here.
                logger.error("%s: %s", payment, error)
                Payment.objects.filter(pk=payment.pk).update(message=str(error))
                return JsonResponse({"error": str(error)}, status=400)
        return JsonResponse({"status": "OK"})

    def _look_at(self, session: str) -> dict[str, Any]:
        """A session as it is now."""
        with _asking():
            return _plain(stripe.checkout.Session.retrieve(session, api_key=self.api_key))

    @transaction.atomic
    def _take(self, payment: Payment, session: dict[str, Any], *, failed: bool = False) -> None:
        """Write down what has become of a session; `failed`: the money has not come after all.
        Raises PaymentError for one that was paid, and not for this."""
        Order.objects.locked(payment.order_id)
        payment.refresh_from_db(fields=["status", "transaction_id", "extra_data"])
        if session["payment_status"] == "paid":
            self._check(payment, session)
            if payment.status in AFTER and session["id"] != payment.transaction_id:
                payment = _paid_twice(payment, session["id"])
            payment.transaction_id = session["id"]
            payment.change_status(PaymentStatus.CONFIRMED)
        elif session["id"] != payment.transaction_id or payment.status == PaymentStatus.CANCELLED:
            # A session to which nobody was sent, as the answer to its creation was lost; or one
            # that the panel itself has cancelled.
            return
        elif failed or session["status"] == "expired":
            payment.change_status(PaymentStatus.REJECTED)
        elif session["status"] == "complete":
            # By direct debit or bank transfer the money takes days.
            payment.change_status(PaymentStatus.PREAUTH)
        payment.attrs.session = session
        payment.save()

    def _check(self, payment: Payment, session: dict[str, Any]) -> None:
        """Raises PaymentError unless the panel has made this session, and for this payment. Stripe
        signs what becomes of all that its account sells, whoever set the price."""
        made_here = (session.get("metadata") or {}).get(MADE_FOR) == payment.token
        found = (session.get("client_reference_id"), session.get("amount_total"),
                 session.get("currency"))  # fmt: skip
        units = self.convert_amount(payment.currency, payment.total)
        asked = (payment.token, units, payment.currency.lower())
        if found != asked or not (made_here or session["id"] == payment.transaction_id):
            raise PaymentError(
                f"Stripe reports {session['id']} as paid, over {found[1]} {found[2]} (in its "
                f"smallest units): that is no session of the panel's for {payment}"
            )

    def return_event_payload(self, request: HttpRequest) -> dict[str, Any]:
        """What Stripe reports. Raises PaymentError for whatever it has not signed."""
        try:
            return _plain(super().return_event_payload(request))
        except (ValueError, stripe.SignatureVerificationError) as error:
            raise PaymentError(f"not from Stripe: {error}", code=400) from error


def _paid_twice(payment: Payment, session: str) -> Payment:
    """The payment for the money of a further session, where the first was paid already."""
    found: Payment
    found, _ = Payment.objects.get_or_create(
        order=payment.order,
        variant=payment.variant,
        transaction_id=session,
        defaults={
            "total": payment.total,
            "currency": payment.currency,
            "description": payment.description,
        },
    )
    return found


def _plain(answer: stripe.StripeObject) -> dict[str, Any]:
    return answer.to_dict(for_json=True)


def _has_run_out(session: dict[str, Any]) -> bool:
    """Whether it cannot be paid any more, going by the time."""
    runs_out_at: float = session.get("expires_at", float("inf"))
    return timezone.now().timestamp() > runs_out_at


@contextmanager
def _asking() -> Iterator[None]:
    """Turn an error that says that Stripe has refused into a PaymentError, and one after which it
    may have done it all the same into a ConnectionError."""
    try:
        yield
    except stripe.StripeError as error:
        status = error.http_status or 0
        # 409: it is still at what was asked for with this key before.
        if isinstance(error, stripe.APIConnectionError) or status >= 500 or status == 409:
            raise ConnectionError(str(error)) from error
        raise PaymentError(str(error)) from error
