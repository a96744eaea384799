"""Placing an order: container, order and the first rows of both histories, or nothing."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4, uuid5

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from containers import who
from containers.models import Container, StatusChange
from orders.checkout.door import Refused
from orders.models import Order, OrderChange, Plan, System
from panel.models import User


class NameTaken(Refused):
    """The customer has a living container of this name."""


class TooManyUnpaid(Refused):
    """The customer has ordered enough without paying."""


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

    `token` is that of the form; the same form sent again returns the order that it made, whatever
    has become of it.
    Raises NameTaken, and TooManyUnpaid where a customer orders for themselves.
    """
    sent = _as_sent(customer, plan, system, name, ssh_key, token or uuid4())
    try:
        with transaction.atomic():
            is_limited = settings.UNPAID_ORDERS and not who.staff(Order, by)
            if is_limited:
                User.objects.lock(customer)
            if placed := Order.objects.filter(token=sent).first():
                return placed
            if is_limited:
                _check_unpaid(customer)
            return _place(customer, by, plan, system, name, ssh_key, sent)
    except IntegrityError:
        placed = Order.objects.filter(token=sent).first()
        if placed is None:
            raise NameTaken(f"{customer} already has a container of this name.") from None
        return placed


def placed_before(
    customer: User, plan: Plan, system: System, name: str, ssh_key: str, token: UUID
) -> Order | None:
    """The order that this very form has made already. A form that was changed meanwhile, by
    going back in the browser, is another one."""
    sent = _as_sent(customer, plan, system, name, ssh_key, token)
    return Order.objects.filter(token=sent).first()


def _as_sent(
    customer: User, plan: Plan, system: System, name: str, ssh_key: str, token: UUID
) -> UUID:
    """The token of a form as it was filled in: another one as soon as it says something else."""
    return uuid5(token, "\n".join((str(customer.pk), str(plan.pk), str(system.pk), name, ssh_key)))


def _check_unpaid(customer: User) -> None:
    """Raise TooManyUnpaid where there are too many. Those cancelled within the hour count: else
    somebody could order and cancel without end."""
    an_hour_ago = timezone.now() - timedelta(hours=1)
    counted = Q(status=Order.Status.UNPAID) | Q(paid_at=None, ordered_at__gt=an_hour_ago)
    unpaid = customer.orders.filter(counted)
    if (number := unpaid.count()) < settings.UNPAID_ORDERS:
        return
    helps = "They are cancelled, and count until an hour after they were ordered."
    if unpaid.filter(status=Order.Status.UNPAID).exists():
        helps = "Pay for one of them, or cancel one: it counts until an hour after it was ordered."
    raise TooManyUnpaid(f"{number} of your orders are not paid: no more can be made. {helps}")


def _place(
    customer: User, by: User, plan: Plan, system: System, name: str, ssh_key: str, sent: UUID
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
        token=sent,
    )
    OrderChange.objects.create(order=order, to_status=order.status, at=order.ordered_at, by=by)
    StatusChange.objects.create(
        container=container, to_status=container.status, by=by, because=f"order {order.pk}"
    )
    return order
