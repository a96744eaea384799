"""From an order to a paid container: every step is one transaction, and happens once.

`placing` makes the order, `paying` takes what gateways report, `undoing` gives back; all of them
go through `door`, the one way to another status. An order is locked by its container before
anything is decided, so that of two people, two tabs or two notices exactly one has an effect.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from orders.checkout.door import Refused, why_not
from orders.checkout.paying import (
    GATEWAY_ERRORS,
    STILL_CHECKED,
    at_the_gateway,
    created_or_not,
    gateway,
    open_payment,
    payment_reported,
    try_again,
)
from orders.checkout.placing import NameTaken, TooManyUnpaid, place_order, placed_before
from orders.checkout.undoing import (
    cancel,
    give_back,
    nothing_to_give_back,
    refund,
    was_given_back,
)
from orders.models import Order

__all__ = [
    "BUTTONS",
    "GATEWAY_ERRORS",
    "STILL_CHECKED",
    "NameTaken",
    "Refused",
    "TooManyUnpaid",
    "at_the_gateway",
    "cancel",
    "created_or_not",
    "gateway",
    "give_back",
    "nothing_to_give_back",
    "open_payment",
    "payment_reported",
    "place_order",
    "placed_before",
    "press",
    "refund",
    "try_again",
    "was_given_back",
    "why_not",
]

if TYPE_CHECKING:
    from panel.models import User

# What each button of an order does, and what is said when it is done. “Pay” is not among them: it
# leads to a page.
BUTTONS: dict[str, tuple[Callable[[Order, User], None], str]] = {
    "try_again": (try_again, "Order {pk}: the creation of its container is tried again."),
    "cancel": (cancel, "Order {pk} is cancelled."),
    "refund": (refund, "Order {pk} is refunded: the money was given back."),
}


def press(order: Order, name: str, by: User) -> str:
    """Do what a button of BUTTONS says, and return the sentence for it. Raises Refused."""
    do, done = BUTTONS[name]
    do(order, by)
    return done.format(pk=order.pk)
