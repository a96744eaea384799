"""The one way to another status of an order: locked, moved, and noted in its history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import F

from containers.models import Container
from orders.models import Order, OrderChange

if TYPE_CHECKING:
    from panel.models import User


class Refused(Exception):
    """Not possible; `sentence` says why in plain words."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def locked_for(order: Order, name: str, by: User) -> Order:
    """The order, fresh and locked, for a button that this person has on it now. Raises Refused
    where they do not have it."""
    order = Order.objects.locked(order.pk)
    if order.action_for(by, name) is None:
        raise Refused(why_not(order, name))
    return order


def why_not(order: Order, name: str) -> str:
    """One sentence that says why this button cannot be pressed."""
    label = f"“{Order.actions()[name].label}”"
    if any(arrow.name == name for arrow in order.get_available_status_transitions()):
        return f"{label} is not for you to do on order {order.pk}."
    if order.status in Order.sources_of(name):
        container = order.container.get_status_display().lower()
        return f"The container of order {order.pk} is {container} already: too late for {label}."
    unpaid = order.status == Order.Status.UNPAID
    status = "not paid yet" if unpaid else f"{order.get_status_display().lower()} already"
    return f"Order {order.pk} is {status}: {label} is not possible."


def move(order: Order, name: str, *, by: User | None = None, because: str = "") -> None:
    """Make a transition and save it with its row of history. Call it in the transaction in
    which the order's container was locked."""
    was = order.status
    getattr(order, name)()
    order.save()
    # The container's page shows it, too.
    Container.objects.filter(pk=order.container_id).update(revision=F("revision") + 1)
    note(order, was, by=by, because=because)


def note(order: Order, was: str, *, by: User | None, because: str) -> None:
    """Write a row of history, also where the status has stayed the same."""
    OrderChange.objects.create(
        order=order, from_status=was, to_status=order.status, by=by, because=because
    )
