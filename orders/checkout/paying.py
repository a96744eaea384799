"""Paying: what a gateway confirms pays an order, once, and starts the creation it is for."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django_fsm import can_proceed
from payments import PaymentError, PaymentStatus

from containers import operations
from containers.models import Container
from containers.operations import NotAllowed
from containers.placement import NoNodeFits
from orders.checkout.door import Refused, locked_for, move
from orders.models import Order, Payment

if TYPE_CHECKING:
    from panel.models import User

logger = logging.getLogger(__name__)

# What a gateway raises: its own refusal, no way to reach it, or "I cannot do that".
GATEWAY_ERRORS = (PaymentError, OSError, NotImplementedError)

STILL_CHECKED = "The gateway is still checking your payment. Nothing more is to be done."

# A claim on a payment that is older than this was left by a process that has died.
ASKING_TAKES = timedelta(minutes=1)
# For how many seconds a second click waits for what comes of the first, and how often it looks.
PATIENCE, LOOK_EVERY = 5.0, 0.1


def gateway() -> str:
    """The gateway that new payments go through: the first of the settings."""
    return str(next(iter(settings.PAYMENT_VARIANTS)))


@transaction.atomic
def open_payment(order: Order, by: User) -> Payment:
    """The one open payment of an order. Raises Refused, for one that is paid already, too."""
    order = _payable(order, by)
    begun = Payment.objects.open().filter(order=order, variant=gateway()).first()
    return begun or Payment.objects.begin(order, gateway())


def _payable(order: Order, by: User) -> Order:
    order = locked_for(order, "pay", by)
    if Payment.objects.filter(order=order, status=PaymentStatus.PREAUTH).exists():
        raise Refused(STILL_CHECKED)
    return order


@contextmanager
def at_the_gateway(order: Order, by: User) -> Iterator[Payment]:
    """The one open payment of an order, claimed: nobody else asks the gateway about it meanwhile.

    After a double click the browser shows the answer to the second request. So the second waits for
    the first, and goes on with what that has got from the gateway. Raises Refused, also where the
    first has settled the payment, or takes too long. Not to be entered within a transaction: the
    gateway takes its time.
    """
    payment = open_payment(order, by)
    since = _claim(payment, by)
    try:
        payment.refresh_from_db()
        yield payment
    finally:
        Payment.objects.filter(pk=payment.pk, asking_since=since).update(asking_since=None)


def _claim(payment: Payment, by: User) -> datetime:
    """Claim a payment, so that nobody else asks the gateway about it; waits while somebody else has
    claimed it. Returns the time of the claim, by which it is given up again. Raises Refused."""
    until = time.monotonic() + PATIENCE
    while True:
        now = timezone.now()
        free = Q(asking_since=None) | Q(asking_since__lt=now - ASKING_TAKES)
        still_open = Payment.objects.open().filter(pk=payment.pk)
        # Looks before it writes: in SQLite even an UPDATE of no row waits for its turn to write.
        if still_open.filter(free).exists() and still_open.filter(free).update(asking_since=now):
            return now
        if not still_open.exists():
            with transaction.atomic():
                _payable(payment.order, by)
            raise Refused("The gateway did not take the payment. Try again.")
        if time.monotonic() > until:
            raise Refused(
                "The gateway is being asked already and has not answered yet. Look again in a "
                "minute."
            )
        time.sleep(LOOK_EVERY)


def payment_reported(sender: type[Payment], instance: Payment, **_: Any) -> None:
    """A gateway has reported on a payment: what is confirmed pays the order, once, and starts
    the creation; where there is nothing to pay for any more, it is to be given back. Runs inside
    the transaction of `Payment.change_status`, which has locked the order."""
    if instance.status != PaymentStatus.CONFIRMED:
        return
    order = Order.objects.select_related("container").get(pk=instance.order_id)
    # Not every gateway says how much; what it confirms is what it was asked for.
    instance.captured_amount = Decimal(instance.captured_amount) or instance.total
    pays = can_proceed(order.paid)
    instance.is_surplus = not pays and not _is_what_paid(order, instance)
    instance.save(update_fields=["captured_amount", "is_surplus"])
    if pays:
        move(order, "paid", because=f"payment {instance.pk}")
        begin_creation(order, because=f"{order} was paid")
    elif instance.is_surplus:
        logger.warning("%s: payment %s has to be given back", order, instance.pk)


def _is_what_paid(order: Order, payment: Payment) -> bool:
    """Whether this payment, now reported again, is the one that the order was paid with, and the
    order is still in force."""
    in_force = order.status in {Order.Status.PAID, Order.Status.FULFILLED}
    others = Payment.objects.kept().filter(order=order, is_surplus=False).exclude(pk=payment.pk)
    return in_force and not others.exists()


def begin_creation(order: Order, *, because: str) -> None:
    """Have the container of a paid order made. Where it cannot be made now, the order is paid
    all the same."""
    try:
        operations.request(order.container_id, "create", by=None, because=because)
    except NoNodeFits:
        logger.info("%s: no room yet, to be tried again", order)
    except NotAllowed:
        # An administrator has pressed Create before it was paid.
        if not order.container.operations.open().filter(kind="create").exists():
            move(order, "fulfilled", because="its container existed already")


def created_or_not(sender: type[Container], container: Container, **_: Any) -> None:
    """A container was created: its order, if it is paid, is fulfilled. Or it was not, after its
    node had lost it: somebody has to act on its order again. Runs inside the transaction in
    which that is recorded."""
    order = Order.objects.filter(container=container).first()
    if order is None:
        return
    if order.status == Order.Status.PAID and not container.is_nowhere:
        move(order, "fulfilled", because="its container was created")
    elif order.status == Order.Status.FULFILLED and container.is_nowhere:
        move(order, "lost", because="its container could not be created again")


@transaction.atomic
def try_again(order: Order, by: User) -> None:
    """Begin a new round of tries to create what was paid for. Raises Refused."""
    order = locked_for(order, "try_again", by)
    move(order, "try_again", by=by, because="creation to be tried again")
    operations.try_again(order.container_id)
    begin_creation(order, because=f"{by} asked to try again")
