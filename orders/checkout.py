"""From an order to a paid container: every step is one transaction, and happens once.

Order and container are locked together before anything is decided, so that of two people, two
tabs or two notices of a gateway exactly one has an effect.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from payments import PaymentError, PaymentStatus

from containers import operations
from containers.models import Container, StatusChange
from containers.operations import NotAllowed
from containers.placement import NoRoomAnywhere
from containers.statuses import Status
from orders.models import Order, OrderChange, Payment, Plan, System

if TYPE_CHECKING:
    from panel.models import User

logger = logging.getLogger(__name__)

# What a gateway raises: its own refusal, no way to reach it, or "I cannot do that".
GATEWAY_ERRORS = (PaymentError, OSError, NotImplementedError)
# A gateway that was asked for money back and has not answered for this long may be asked again.
GIVING_BACK_TAKES = timedelta(minutes=5)


class Refused(Exception):
    """Not possible; `sentence` says why in plain words."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class NameTaken(Refused):
    """The customer has a living container of this name."""


# --- ordering --------------------------------------------------------------------------------


def place_order(
    *,
    customer: User,
    by: User,
    plan: Plan,
    system: System,
    name: str,
    ssh_key: str = "",
    token: UUID | None = None,
) -> Order:
    """Order a container, at the price of this moment. The values have been checked by the form.

    `token` is that of the form; the same form sent again returns the order that it made.
    Raises NameTaken.
    """
    token = token or uuid4()
    try:
        with transaction.atomic():
            return placed_before(customer, token, name) or _place(
                customer, by, plan, system, name, ssh_key, token
            )
    except IntegrityError:
        order = placed_before(customer, token, name)
        if order is None:
            raise NameTaken(f"{customer} already has a container of this name.") from None
        return order


def placed_before(customer: User, token: UUID, name: str) -> Order | None:
    """The order that this very form has made already. A form that was changed meanwhile, by
    going back in the browser, is another order."""
    return Order.objects.filter(customer=customer, token=token, container__name=name).first()


def _place(
    customer: User, by: User, plan: Plan, system: System, name: str, ssh_key: str, token: UUID
) -> Order:
    container = Container.objects.create(
        customer=customer,
        name=name,
        plan=plan.name,
        cpus=plan.cpus,
        memory_mb=plan.memory_mb,
        disk_gb=plan.disk_gb,
        system=system.name,
        image=system.image,
        ssh_key=ssh_key,
    )
    order = Order.objects.create(
        customer=customer,
        plan=plan,
        container=container,
        price=plan.price,
        currency=settings.CURRENCY,
        period=plan.period,
        token=uuid4() if Order.objects.filter(token=token).exists() else token,
    )
    OrderChange.objects.create(order=order, to_status=order.status, at=order.ordered_at, by=by)
    StatusChange.objects.create(
        container=container, to_status=container.status, by=by, because=f"order {order.pk}"
    )
    return order


# --- paying ----------------------------------------------------------------------------------


def gateway() -> str:
    """The gateway that new payments go through: the first of the settings."""
    return next(iter(settings.PAYMENT_VARIANTS))


@transaction.atomic
def open_payment(order: Order, by: User) -> Payment:
    """The one open payment of an order. Raises Refused, for one that is paid already, too."""
    order = _asked(order, "pay", by)
    if Payment.objects.filter(order=order, status=PaymentStatus.PREAUTH).exists():
        raise Refused("The gateway is still checking your payment. Nothing more is to be done.")
    variant = gateway()
    return Payment.objects.open().filter(order=order).filter(
        variant=variant
    ).first() or Payment.objects.create(
        order=order,
        variant=variant,
        total=order.price,
        currency=order.currency,
        description=f"{order.plan.name} for {order.container.name}, order {order.pk}",
        billing_email=order.customer.email,
        billing_first_name=order.customer.first_name,
        billing_last_name=order.customer.last_name,
    )


def payment_reported(sender: type[Payment], instance: Payment, **_: Any) -> None:
    """A gateway has reported on a payment: what is confirmed pays the order, once, and starts
    the creation. Runs inside the transaction of `Payment.change_status`."""
    if instance.status != PaymentStatus.CONFIRMED:
        return
    with transaction.atomic():
        order = Order.objects.locked(instance.order_id)
        # Not every gateway says how much; what it confirms is what it was asked for.
        instance.captured_amount = Decimal(instance.captured_amount) or instance.total
        unpaid = order.status == Order.Status.UNPAID
        instance.is_surplus = not unpaid and not _is_what_paid(order, instance)
        instance.save(update_fields=["captured_amount", "is_surplus"])
        if unpaid:
            _move(order, "paid", because=f"payment {instance.pk}")
            _begin_creation(order, because=f"{order} was paid")
        elif instance.is_surplus:
            logger.warning("%s: payment %s has to be given back", order, instance.pk)


def _is_what_paid(order: Order, payment: Payment) -> bool:
    """Whether it is this payment, reported again, that an order in force was paid with."""
    in_force = order.status in {Order.Status.PAID, Order.Status.FULFILLED}
    others = Payment.objects.kept().filter(order=order, is_surplus=False).exclude(pk=payment.pk)
    return in_force and not others.exists()


def _begin_creation(order: Order, *, because: str) -> None:
    """Have the container of a paid order made. Where it cannot be made now, the order is paid
    all the same."""
    try:
        operations.request(order.container_id, "create", by=None, because=because)
    except NoRoomAnywhere:
        logger.info("%s: no room yet, to be tried again", order)
    except NotAllowed:
        # An administrator has not waited for the money.
        if not order.container.operations.open().filter(kind="create").exists():
            _move(order, "fulfilled", because="its container existed already")


def fulfil(sender: type[Container], container: Container, **_: Any) -> None:
    """A container was created: its order, if it is paid, is fulfilled. Runs inside the
    transaction in which the creation is recorded."""
    order = Order.objects.select_for_update().filter(container=container).first()
    if order is not None and order.status == Order.Status.PAID:
        _move(order, "fulfilled", because="its container was created")


# --- undoing ---------------------------------------------------------------------------------


def cancel(order: Order, by: User) -> None:
    """Take an unpaid order back; its container leaves the list. Raises Refused."""
    with transaction.atomic():
        order = _asked(order, "cancel", by)
        _move(order, "cancel", by=by)
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
        order = _asked(order, "refund", by)
        _move(order, "refund", by=by)
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
    _note(payment.order, payment.order.status, by=by, because=f"payment {payment.pk} given back")


@transaction.atomic
def try_again(order: Order, by: User) -> None:
    """Begin a new round of tries to create what was paid for. Raises Refused."""
    order = _asked(order, "try_again", by)
    _move(order, "try_again", by=by, because="creation to be tried again")
    operations.try_again(order.container_id)
    _begin_creation(order, because=f"{by} asked to try again")


def _withdraw(container: Container) -> None:
    """Off the list. One that has lived and was destroyed stays in the record as what it is."""
    if container.status == Status.ORDERED:
        container.withdrawn_at, container.create_again_at = timezone.now(), None
        container.revision += 1
        container.save()


# --- the one door of an order's statuses -------------------------------------------------------


def _asked(order: Order, name: str, by: User) -> Order:
    """The order, fresh and locked, if this person may do this with it now. Raises Refused."""
    order = Order.objects.locked(order.pk)
    if not any(action.name == name for action in order.actions_for(by)):
        raise Refused(why_not(order, name))
    return order


def why_not(order: Order, name: str) -> str:
    """One sentence for whoever came too late or may not."""
    label = Order.actions()[name].label
    if any(arrow.name == name for arrow in order.get_available_status_transitions()):
        return f"{label} is not for you to do on order {order.pk}."
    if any(t.name == name and t.source == order.status for t in Order.transitions()):
        return (
            f"The container of order {order.pk} is {order.container.get_status_display()} "
            f"already. {label} is not possible any more."
        )
    return f"Order {order.pk} is {order.get_status_display()} already. {label} is not possible now."


def _move(order: Order, name: str, *, by: User | None = None, because: str = "") -> None:
    """Make a transition and save it with its row of history."""
    was = order.status
    getattr(order, name)()
    order.save()
    _note(order, was, by=by, because=because)


def _note(order: Order, was: str, *, by: User | None, because: str) -> None:
    OrderChange.objects.create(
        order=order, from_status=was, to_status=order.status, by=by, because=because[:200]
    )
