"""Taking an order back: cancelled before it was paid, or refunded before anything was created."""

from __future__ import annotations

import logging
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from payments import PaymentStatus

from containers.models import Container
from containers.statuses import Status
from orders.checkout.door import Refused, locked_for, move, note
from orders.checkout.paying import GATEWAY_ERRORS
from orders.models import Order, Payment

if TYPE_CHECKING:
    from panel.models import User

logger = logging.getLogger(__name__)

# A gateway that was asked for money back and has not answered for this long may be asked again.
GIVING_BACK_TAKES = timedelta(minutes=5)


def cancel(order: Order, by: User) -> None:
    """Take an unpaid order back; its container leaves the list. Raises Refused."""
    with transaction.atomic():
        order = locked_for(order, "cancel", by)
        move(order, "cancel", by=by)
        _withdraw(order.container)
    for payment in Payment.objects.open().filter(order=order):
        try:
            payment.cancel()
        except GATEWAY_ERRORS as error:
            # Should it still be paid, it is a surplus.
            logger.warning("%s: payment %s was not called off: %s", order, payment.pk, error)


def refund(order: Order, by: User) -> None:
    """Take a paid order back and have its money given back.

    Raises Refused; also where the order is refunded, but the gateway did not do its part.
    """
    with transaction.atomic():
        order = locked_for(order, "refund", by)
        move(order, "refund", by=by)
        _withdraw(order.container)
        Payment.objects.kept().filter(order=order).update(is_surplus=True)
    refusals = []
    for payment in Payment.objects.kept().filter(order=order):
        try:
            give_back(payment, by)
        except Refused as reason:
            refusals.append(reason.sentence)
    if refusals:
        raise Refused(" ".join(refusals))


def give_back(payment: Payment, by: User) -> None:
    """Have the gateway give back what was paid too much, once. Raises Refused; where no answer
    came, it is not known what the gateway did, and nobody can ask it again for GIVING_BACK_TAKES.
    """
    free = Q(giving_back_since=None) | Q(giving_back_since__lt=timezone.now() - GIVING_BACK_TAKES)
    mine = Payment.objects.to_be_given_back().filter(free, pk=payment.pk)
    if not mine.update(giving_back_since=timezone.now()):
        raise Refused(nothing_to_give_back(payment))
    payment = Payment.objects.get(pk=payment.pk)
    if not payment.is_to_be_given_back():
        raise Refused(nothing_to_give_back(payment))
    try:
        payment.refund(payment.captured_amount)
    except OSError as error:
        logger.warning("it is not known whether payment %s was given back: %s", payment.pk, error)
        raise Refused(
            f"It is not known whether the gateway has given payment {payment.pk} back: "
            f"{error or 'no answer came'}. Look there. If it has, write that down with “Was given "
            "back at the gateway” in the Django admin; if not, give it back again in "
            f"{GIVING_BACK_TAKES // timedelta(minutes=1)} minutes."
        ) from error
    except GATEWAY_ERRORS as error:
        logger.warning("payment %s was not given back: %s", payment.pk, error)
        Payment.objects.filter(pk=payment.pk).update(giving_back_since=None)
        raise Refused(
            f"The gateway did not give payment {payment.pk} back: {error or 'no reason given'}. "
            "It is listed as “to be given back” until it has."
        ) from error
    with transaction.atomic():
        # While the gateway took its time, the order may have gone on.
        order = Order.objects.locked(payment.order_id)
        note(order, order.status, by=by, because=f"payment {payment.pk} given back")
        # If `was_given_back` has come in between, the provider has saved the amount of before.
        Payment.objects.filter(pk=payment.pk, status=PaymentStatus.REFUNDED).update(
            captured_amount=0
        )


@transaction.atomic
def was_given_back(payment: Payment, by: User) -> None:
    """Write down that the gateway has given back what was paid too much, as somebody saw there;
    it is not asked. Raises Refused."""
    order = Order.objects.locked(payment.order_id)
    payment = Payment.objects.get(pk=payment.pk)
    if not payment.is_to_be_given_back():
        raise Refused(nothing_to_give_back(payment))
    payment.captured_amount = Decimal(0)
    payment.save(update_fields=["captured_amount"])
    payment.change_status(PaymentStatus.REFUNDED)
    because = f"payment {payment.pk} was given back at the gateway"
    note(order, order.status, by=by, because=because)


def nothing_to_give_back(payment: Payment) -> str:
    """What is said of a payment of which nothing is to be given back now."""
    return f"There is nothing to be given back of payment {payment.pk} now."


def _withdraw(container: Container) -> None:
    """Take it off the list. One that was created and destroyed stays on record as that."""
    if container.status == Status.ORDERED:
        container.withdrawn_at, container.create_again_at = timezone.now(), None
        container.save(update_fields=["withdrawn_at", "create_again_at"])
