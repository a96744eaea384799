"""What is sold and bought: systems, plans, orders with their transitions, payments."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django_fsm import FSMField, FSMModelMixin, transition
from payments import PaymentStatus, PurchasedItem
from payments.models import BasePayment

from containers import who
from containers.models import Action, Container

if TYPE_CHECKING:
    from collections.abc import Iterator

    from panel.models import User


class System(models.Model):
    """An operating system to choose from, and the image that a node makes it of."""

    name = models.CharField(max_length=80, unique=True)
    image = models.CharField(max_length=120, help_text="As the nodes know it: debian/12")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class PlanQuerySet(models.QuerySet["Plan"]):
    def offered(self) -> PlanQuerySet:
        """What can be ordered now."""
        return self.filter(is_offered=True, systems__isnull=False).distinct()


class Plan(models.Model):
    """What can be ordered. A change concerns only what is ordered after it."""

    class Period(models.TextChoices):
        MONTH = "month", "month"
        YEAR = "year", "year"

    name = models.CharField(max_length=80, unique=True)
    description = models.CharField(max_length=200, blank=True)
    cpus = models.PositiveIntegerField("processor cores", validators=[MinValueValidator(1)])
    memory_mb = models.PositiveIntegerField("memory in MiB", validators=[MinValueValidator(64)])
    disk_gb = models.PositiveIntegerField("disk in GiB", validators=[MinValueValidator(1)])
    systems = models.ManyToManyField(System, related_name="plans")
    price = models.DecimalField(
        max_digits=9, decimal_places=2, validators=[MinValueValidator(Decimal("0.01"))]
    )
    period = models.CharField(max_length=10, choices=Period, default=Period.MONTH)
    is_offered = models.BooleanField("offered", default=True, help_text="Can be ordered now.")

    objects = PlanQuerySet.as_manager()

    class Meta:
        ordering = ["price", "name"]

    def __str__(self) -> str:
        return self.name


class OrderQuerySet(models.QuerySet["Order"]):
    def visible_to(self, user: User) -> OrderQuerySet:
        """What this person may see; what is not in it is a 404."""
        return self if user.sees_everything else self.filter(customer=user)

    def paid_not_created(self) -> OrderQuerySet:
        """Paid for, nothing under way, and no further try planned: somebody has to act."""
        return self.filter(
            status=Order.Status.PAID,
            container__node=None,
            container__create_again_at=None,
        )


def nothing_created(order: Order) -> bool:
    """Whether the money can still be given back for nothing."""
    return order.container.node_id is None


class Order(FSMModelMixin, models.Model):
    """One purchase of a Plan. The price is fixed when it is made; the record stays for good."""

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
    status = FSMField(choices=Status, default=Status.UNPAID, protected=True, editable=False)

    ordered_at = models.DateTimeField(default=timezone.now, editable=False)
    paid_at = models.DateTimeField(null=True, blank=True, editable=False)
    fulfilled_at = models.DateTimeField(null=True, blank=True, editable=False)
    cancelled_at = models.DateTimeField(null=True, blank=True, editable=False)
    refunded_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = OrderQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["status"])]

    def __str__(self) -> str:
        return f"order {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("orders:detail", args=[self.pk])

    def actions_for(self, user: User) -> list[Action]:
        """The buttons that this person has on this order now."""
        return [
            Action(name=arrow.name, **arrow.custom)
            for arrow in self.get_available_user_status_transitions(user)
            if "label" in arrow.custom
        ]

    @transition(status, Status.UNPAID, Status.PAID, permission=who.nobody)
    def paid(self) -> None:
        """A payment was confirmed, whichever way it was reported."""
        self.paid_at = timezone.now()

    @transition(status, Status.PAID, Status.FULFILLED, permission=who.nobody)
    def fulfilled(self) -> None:
        """Its container was created."""
        self.fulfilled_at = timezone.now()

    @transition(
        status, Status.UNPAID, Status.CANCELLED, permission=who.owner,
        conditions=[nothing_created],
        custom={
            "label": "Cancel order", "icon": "x",
            "warning": "The container leaves your list. The order's record stays.",
        },
    )  # fmt: skip
    def cancel(self) -> None:
        """The customer or an administrator thinks better of it."""
        self.cancelled_at = timezone.now()

    @transition(
        status, Status.PAID, Status.REFUNDED, permission=who.staff,
        conditions=[nothing_created],
        custom={
            "label": "Refund", "icon": "restart", "danger": True,
            "warning": "The payment is given back and the container leaves the customer's list.",
        },
    )  # fmt: skip
    def refund(self) -> None:
        """Staff give the money back, while nothing was created."""
        self.refunded_at = timezone.now()


class PaymentQuerySet(models.QuerySet["Payment"]):
    def visible_to(self, user: User) -> PaymentQuerySet:
        return self if user.sees_everything else self.filter(order__customer=user)

    def kept(self) -> PaymentQuerySet:
        """Money that has arrived and was not given back."""
        return self.filter(status=PaymentStatus.CONFIRMED)


class Payment(BasePayment):
    """One try to pay an order through a gateway; its columns are those of django-payments.

    `is_surplus` marks money that came for an order which needed none any more: it has to be
    given back.
    """

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="payments")
    is_surplus = models.BooleanField("to be given back", default=False, editable=False)

    objects = PaymentQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"payment {self.pk}"

    def get_failure_url(self) -> str:
        return self.order.get_absolute_url()

    def get_success_url(self) -> str:
        return self.order.get_absolute_url()

    def get_purchased_items(self) -> Iterator[PurchasedItem]:
        yield PurchasedItem(
            name=f"{self.order.plan.name} · {self.order.container.name}",
            quantity=1,
            price=self.total,
            currency=self.currency,
            sku=str(self.order.plan_id),
        )
