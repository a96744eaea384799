"""Taking an order back: cancelled before it was paid, or refunded before anything was created."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from containers.models import Container
from containers.statuses import Status
from orders.checkout.door import Refused, asked, move, note
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
        order = asked(order, "cancel", by)
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
        order = asked(order, "refund", by)
        move(order, "refund", by=by)
        _withdraw(order.container)
        Payment.objects.kept().filter(order=order).update(is_surplus=True)
    for payment in Payment.objects.kept().filter(order=order):
        give_back(payment, by)


def give_back(payment: Payment, by: User) -> None:
    """Have the gateway give back what was paid too much, once. Raises Refused."""
    free = Q(giving_back_since=None) | Q(giving_back_since__lt=timezone.now() - GIVING_BACK_TAKES)
    mine = Payment.objects.kept().filter(free, pk=payment.pk, is_surplus=True)
    if not mine.update(giving_back_since=timezone.now()):
        raise Refused(f"There is nothing to be given back of payment {payment.pk} now.")
    payment = Payment.objects.select_related("order").get(pk=payment.pk)
    try:
        payment.refund(payment.captured_amount)
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


def _withdraw(container: Container) -> None:
    """Off the list. One that has lived and was destroyed stays in the record as what it is."""
    if container.status == Status.ORDERED:
        container.withdrawn_at, container.create_again_at = timezone.now(), None
        container.save(update_fields=["withdrawn_at", "create_again_at"])
