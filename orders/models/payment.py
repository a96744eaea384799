"""Money on its way: one row for each try to pay an order."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db import models, transaction
from payments import PaymentError, PaymentStatus, PurchasedItem
from payments.core import get_base_url
from payments.models import BasePayment

from orders.currencies import money
from orders.models.order import Order

# Begun, and neither paid nor refused yet; the customer can still go on with it.
OPEN = (PaymentStatus.WAITING, PaymentStatus.INPUT)
# The statuses once money has arrived, and those that may still follow. Any other notice is late, or
# a repetition.
AFTER = {
    PaymentStatus.CONFIRMED: {PaymentStatus.REFUNDED},
    PaymentStatus.REFUNDED: set(),
}
# Columns that a provider must not overwrite when it saves a whole row: it read them long ago.
DECIDED = {"status", "message", "is_surplus", "giving_back_since", "asking_since"}
# Columns by which the money came, and is given back.
SOURCE = {"transaction_id", "extra_data", "captured_amount"}


class PaymentQuerySet(models.QuerySet["Payment"]):
    def open(self) -> PaymentQuerySet:
        """Begun, and neither paid nor refused yet."""
        return self.filter(status__in=OPEN)

    def kept(self) -> PaymentQuerySet:
        """Money that has arrived and was not given back."""
        return self.filter(status=PaymentStatus.CONFIRMED)

    def to_be_given_back(self) -> PaymentQuerySet:
        """Money that has arrived and that its order does not need."""
        return self.kept().filter(is_surplus=True)

    def begin(self, order: Order, gateway: str, **more: Any) -> Payment:
        """One more try to pay an order, by the gateway of that name; `more` are further columns."""
        return self.create(
            order=order,
            variant=gateway,
            total=order.price,
            currency=order.currency,
            description=f"{order.container.plan} for {order.container.name}, order {order.pk}",
            billing_email=order.customer.email,
            billing_first_name=order.customer.first_name,
            billing_last_name=order.customer.last_name,
            **more,
        )


def _is_late(status: str, known: str) -> bool:
    """Whether a notice of `status` comes too late for a payment that is known to be in `known`."""
    if status == PaymentStatus.PREAUTH:
        return known not in OPEN
    return known in AFTER and status not in AFTER[known]


class Payment(BasePayment):
    """One try to pay an order through a gateway; its columns are those of django-payments.

    `is_surplus` marks money that the order does not need, or not any more: it has to be given
    back. `giving_back_since` is set while the gateway is being asked to, `asking_since` while it
    is asked where the customer pays.
    """

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="payments")
    is_surplus = models.BooleanField("to be given back", default=False, editable=False)
    giving_back_since = models.DateTimeField(null=True, blank=True, editable=False)
    asking_since = models.DateTimeField(null=True, blank=True, editable=False)

    objects = PaymentQuerySet.as_manager()

    # Whether it was this very object that the money came by, or goes back by.
    _moves_money = False

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["transaction_id"], name="payments_at_the_gateway"),
            # The dashboard asks for them, which are few beside the others.
            models.Index(
                fields=["status", "order"],
                condition=models.Q(is_surplus=True),
                name="surplus_payments",
            ),
        ]

    def __str__(self) -> str:
        return f"payment {self.pk}"

    def save(self, **kwargs: Any) -> None:
        """Save without the columns that may have changed since this object was read: providers save
        the whole row. DECIDED always stays as it is in the database; SOURCE once money has arrived,
        unless this very object has brought the money or gives it back."""
        if self._state.adding or kwargs.get("update_fields") is not None:
            super().save(**kwargs)
            return
        with transaction.atomic():
            Order.objects.locked(self.order_id)
            stays = DECIDED | self.get_deferred_fields()
            if self._known_status() in AFTER and not self._moves_money:
                stays |= SOURCE
            columns = {column.attname for column in self._meta.concrete_fields}
            super().save(**kwargs | {"update_fields": columns - stays - {"id"}})

    def _known_status(self) -> str:
        return str(type(self).objects.values_list("status", flat=True).get(pk=self.pk))

    @admin.display(description="total", ordering="total")
    def costs(self) -> str:
        return money(self.total, self.currency)

    @admin.display(ordering="variant")
    def gateway(self) -> str:
        """Its name in the settings, which the library calls a variant."""
        return str(self.variant)

    @admin.display(description="to be given back")
    def owed(self) -> str:
        """How much of it; nothing where its order needs it, or it never came."""
        return money(self.captured_amount, self.currency) if self.is_to_be_given_back() else ""

    def is_to_be_given_back(self) -> bool:
        """Whether it is money that has arrived and that the order does not need."""
        return self.status == PaymentStatus.CONFIRMED and self.is_surplus

    def change_status(self, status: str, message: str = "") -> None:
        """Write down what the gateway reports and all that follows from it, or nothing.

        What has arrived stays arrived: a notice that comes twice or too late changes nothing.
        """
        with transaction.atomic():
            Order.objects.locked(self.order_id)
            known = self._known_status()
            if _is_late(status, known):
                self.refresh_from_db(
                    fields=["status", "captured_amount", "is_surplus", "giving_back_since"]
                )
                return
            self._moves_money |= status in AFTER
            super().change_status(status, message)
            # The library leaves the time of the change out.
            self.save(update_fields=["modified"])

    def refund(self, amount: Decimal | None = None) -> None:
        """Have the gateway give money back, and store what its provider notes of that."""
        self._check_gateway()
        self._moves_money = True
        super().refund(amount)

    def cancel(self) -> None:
        """Have the gateway call it off."""
        self._check_gateway()
        super().cancel()

    def _check_gateway(self) -> None:
        """Raises PaymentError for one that was taken out of the settings."""
        if self.variant not in settings.PAYMENT_VARIANTS:
            raise PaymentError(f"BERTH_PAYMENT_VARIANTS has no “{self.variant}” any more")

    def get_failure_url(self) -> str:
        return self.get_success_url()

    def get_success_url(self) -> str:
        """Back to the order, as a whole address: gateways follow no other."""
        return f"{get_base_url()}{self.order.get_absolute_url()}"

    def get_purchased_items(self) -> Iterator[PurchasedItem]:
        yield PurchasedItem(
            name=self.description,
            quantity=1,
            price=self.total,
            currency=self.currency,
            sku=str(self.order.plan_id),
        )
