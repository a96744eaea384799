"""What the tests of orders share: an order of Lena's, and the ways to pay it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from payments import PaymentStatus

from orders import checkout
from orders.models import Order, Payment, Plan, System
from panel.models import User


@pytest.fixture
def order(lena: User, plan: Plan, system: System) -> Order:
    """Lena's order of web-01, not paid yet."""
    return checkout.place_order(customer=lena, by=lena, plan=plan, system=system, name="web-01")


@pytest.fixture
def pay() -> Callable[[Order], Payment]:
    """`pay(order)`: the gateway confirms a payment by the customer."""

    def confirmed(order: Order) -> Payment:
        payment = checkout.open_payment(order, order.customer)
        payment.change_status(PaymentStatus.CONFIRMED)
        order.refresh_from_db()
        return payment

    return confirmed
