"""An order and the one table of its statuses: who may do what in which; and its history."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django_fsm import FSMField, transition

from containers import statuses, who
from containers.models import Container, Lifecycle
from orders.currencies import money
from orders.models.plan import Plan

if TYPE_CHECKING:
    from panel.models import User


class OrderQuerySet(models.QuerySet["Order"]):
    def visible_to(self, user: User) -> OrderQuerySet:
        """What this person may see; what is not in it is a 404."""
        return self if user.sees_everything else self.filter(customer=user)

    def paid_not_created(self) -> OrderQuerySet:
        """Paid for, nothing under way, and no further try planned: somebody has to act."""
        waits = Container.objects.filter(
            pk=models.OuterRef("container"), status__in=statuses.NOWHERE, create_again_at=None
        )
        return self.filter(models.Exists(waits), status=Order.Status.PAID)

    def locked(self, pk: int) -> Order:
        """One order with its container, both fresh. Call it in a transaction: until it ends,
        nobody else changes either.

        An order has no lock of its own: whoever changes it holds that of its container, as the
        doors of `operations` do.
        """
        container = Container.objects.select_for_update(of=("self",)).get(order=pk)
        order = self.get(pk=pk)
        order.container = container
        return order


def nothing_created(order: Order) -> bool:
    """Whether nothing of its container is on a node, so that the order can be taken back."""
    return order.container.is_nowhere


def what_is_lost(order: Order) -> str:
    """What to say before an order is taken back; "" where its container was destroyed before."""
    if order.container.status == statuses.Status.DESTROYED:
        return ""
    return "The container is not created and leaves the list."


def what_goes_back(order: Order) -> str:
    """What to say before a refund: how much the gateway is to give back, and to whom."""
    back = f"{money(order.kept(), order.currency)} goes back to {order.customer}."
    return f"{back} {what_is_lost(order)}".strip()


def something_to_pay_for(order: Order) -> bool:
    """Whether its container is neither destroyed nor about to be."""
    container = order.container
    # Of one that is Off-line, only its open Operation says what will become of it.
    work = container.operation if container.status == statuses.Status.OFFLINE else None
    becomes = work.during if work else container.status
    return becomes not in {statuses.Status.DESTROYING, statuses.Status.DESTROYED}


class Order(Lifecycle):  # type: ignore[django-manager-missing]  # Payment's base has no types
    """One purchase of a Plan. The price is fixed when it is made; the record stays for good.

    `token` stands for the form that made it, as it was filled in: the same form sent twice makes
    one order.
    """

    class Status(models.TextChoices):
        UNPAID = "unpaid", "Unpaid"
        PAID = "paid", "Paid"
        FULFILLED = "fulfilled", "Fulfilled"
        CANCELLED = "cancelled", "Cancelled"
        REFUNDED = "refunded", "Refunded"

    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="orders"
    )
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="orders")
    container = models.OneToOneField(Container, on_delete=models.PROTECT, related_name="order")
    price = models.DecimalField(max_digits=9, decimal_places=2)
    currency = models.CharField(max_length=3)
    period = models.CharField(max_length=10, choices=Plan.Period)
    status = FSMField(choices=Status.choices, default=Status.UNPAID, protected=True, editable=False)
    token = models.UUIDField(default=uuid4, unique=True, editable=False)
    ordered_at = models.DateTimeField(default=timezone.now, editable=False)
    paid_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = OrderQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["status", "-id"], name="orders_in_status")]

    def __str__(self) -> str:
        return f"order {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("orders:detail", args=[self.pk])

    @property
    def is_unpaid(self) -> bool:
        return self.status == self.Status.UNPAID

    @property
    def awaits_payment_to_begin(self) -> bool:
        """Whether its container is created as soon as it is paid, and not before."""
        waits = self.container.status == statuses.Status.ORDERED
        is_tried_again = self.container.create_again_at is not None
        return self.is_unpaid and waits and not is_tried_again

    def kept(self) -> Decimal:
        """All that has arrived for it and was not given back."""
        arrived = self.payments.kept()  # type: ignore[attr-defined]  # Payment's base has no types
        return sum((each.captured_amount for each in arrived), Decimal(0))

    # --- what people ask for -------------------------------------------------------------

    @transition(
        status, Status.UNPAID, Status.UNPAID, permission=who.owner,
        conditions=[something_to_pay_for],
        custom={"label": "Pay", "icon": "card"},
    )  # fmt: skip
    def pay(self) -> None:
        """Go to the gateway; what comes of it is `paid`, once the gateway reports it."""

    @transition(
        status, Status.PAID, Status.PAID, permission=who.bookkeeper, conditions=[nothing_created],
        custom={"label": "Try creation again", "icon": "refresh"},
    )  # fmt: skip
    def try_again(self) -> None:
        """Staff have put right what kept the container from being created."""

    @transition(
        status, Status.UNPAID, Status.CANCELLED, permission=who.owner,
        conditions=[nothing_created],
        custom={
            "label": "Cancel order", "icon": "x", "danger": True, "says": what_is_lost,
            "warning": "The order itself stays on record.",
        },
    )  # fmt: skip
    def cancel(self) -> None:
        """The customer or an administrator thinks better of it."""

    @transition(
        status, Status.PAID, Status.REFUNDED, permission=who.bookkeeper,
        conditions=[nothing_created],
        custom={
            "label": "Refund order", "icon": "card", "danger": True, "says": what_goes_back,
            "warning": "The order itself stays on record.",
        },
    )  # fmt: skip
    def refund(self) -> None:
        """Staff give the money back, while nothing was created."""

    # --- what came of it -------------------------------------------------------------------

    @transition(
        status, Status.UNPAID, Status.PAID, permission=who.nobody,
        conditions=[something_to_pay_for],
    )  # fmt: skip
    def paid(self) -> None:
        """A payment was confirmed, whichever way it was reported."""
        self.paid_at = timezone.now()

    @transition(status, Status.PAID, Status.FULFILLED, permission=who.nobody)
    def fulfilled(self) -> None:
        """Its container was created."""

    @transition(status, Status.FULFILLED, Status.PAID, permission=who.nobody)
    def lost(self) -> None:
        """Its node has lost its container, which could not be created again."""


class OrderChange(models.Model):
    """From which status to which, when, by whom or by what, why; never changed or deleted."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="changes")
    from_status = models.CharField(max_length=20, choices=Order.Status, blank=True)
    to_status = models.CharField(max_length=20, choices=Order.Status)
    at = models.DateTimeField(default=timezone.now)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    because = models.TextField(blank=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.get_from_status_display()} → {self.get_to_status_display()}"
