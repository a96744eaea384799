"""The order behind a container of the demo: what became of it and of the payments."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from payments import PaymentStatus

from containers.models import Container
from orders import checkout
from orders.models import Order, OrderChange, Payment, Plan
from panel.demo.world import World
from panel.models import User


class Purchase:
    """One order, told as `orders.checkout` would have written it down."""

    def __init__(self, world: World, container: Container, plan: Plan) -> None:
        self._world = world
        self.order = Order.objects.create(
            customer=container.customer,
            plan=plan,
            container=container,
            price=plan.price,
            currency=settings.CURRENCY,
            period=plan.period,
            ordered_at=container.ordered_at,
        )
        self._note("", container.ordered_at, by=container.customer)

    def pay(self, at: datetime) -> None:
        payment = self._payment(PaymentStatus.CONFIRMED, at, captured_amount=self.order.price)
        self._move("paid", at, because=f"payment {payment.pk}")
        self.order.paid_at = at

    def decline(self, at: datetime) -> None:
        """The gateway does not take the money."""
        self._payment(PaymentStatus.REJECTED, at, message="insufficient funds")

    def fulfil(self, at: datetime) -> None:
        """The container was created."""
        if self.order.status == Order.Status.PAID:
            self._move("fulfilled", at, because="its container was created")

    def cancel(self, at: datetime) -> None:
        self._move("cancel", at, by=self.order.customer)

    def refund(self, at: datetime) -> None:
        staff = self._world.people["staff"]
        self._move("refund", at, by=staff)
        for payment in self.order.payments.filter(status=PaymentStatus.CONFIRMED):
            given_back = at + timedelta(seconds=1)
            Payment.objects.filter(pk=payment.pk).update(
                status=PaymentStatus.REFUNDED,
                captured_amount=0,
                is_surplus=True,
                giving_back_since=at,
                modified=given_back,
            )
            self._note(
                self.order.status, given_back, by=staff, because=f"payment {payment.pk} given back"
            )

    def _payment(self, status: str, at: datetime, **more: Any) -> Payment:
        payment = Payment.objects.begin(self.order, checkout.gateway(), status=status, **more)
        Payment.objects.filter(pk=payment.pk).update(
            created=at - self._world.minutes(0.3, 0.9), modified=at
        )
        return payment

    def _move(self, name: str, at: datetime, *, by: User | None = None, because: str = "") -> None:
        was = self.order.status
        getattr(self.order, name)()
        self._note(was, at, by=by, because=because)

    def _note(self, was: str, at: datetime, *, by: User | None = None, because: str = "") -> None:
        self._world.order_changes.append(
            OrderChange(
                order=self.order,
                from_status=was,
                to_status=self.order.status,
                at=at,
                by=by,
                because=because,
            )
        )
