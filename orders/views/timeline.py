"""One time line of an order: what happened, what goes on, what is still to come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils.formats import date_format
from django.utils.timezone import localdate, localtime
from django_fsm import can_proceed
from payments import PaymentStatus

from containers.models import Operation
from containers.templatetags.spans import day
from orders.currencies import money
from orders.models import Order, OrderChange, Payment
from orders.models.payment import OPEN

if TYPE_CHECKING:
    from panel.models import User

DONE, CURRENT, TODO, FAILED = "done", "current", "todo", "failed"
UNDECIDED = {*OPEN, PaymentStatus.PREAUTH}


@dataclass(frozen=True)
class Step:
    """One entry. `text` is for everybody, `detail` the technical reason for staff; `work` is
    the open Operation whose progress it shows, `payment` what its reader can give back."""

    state: str
    title: str
    at: datetime | None = None
    by: User | None = None
    text: str = ""
    detail: str = ""
    work: Operation | None = None
    payment: Payment | None = None
    again_at: datetime | None = None
    shows_container: bool = False


def steps(order: Order, reader: User) -> list[Step]:
    """The time line as this person reads it, oldest first. The order must have been read for this
    page."""
    changes = list(order.changes.select_related("by"))
    payments = list(order.payments.all())
    creations = list(
        order.container.operations.filter(kind="create").select_related("asked_by").order_by("pk")
    )
    past = [
        *(_changed(order, change) for change in changes),
        *(step for payment in payments for step in _not_paid(payment)),
        *(_tried_to_create(work, _hint(order, reader)) for work in creations if not work.is_open),
    ]
    past.sort(key=lambda step: step.at or order.ordered_at)
    under_way = next((work for work in creations if work.is_open), None)
    owed = [
        _to_be_given_back(payment, reader) for payment in payments if payment.is_to_be_given_back()
    ]
    return [*past, *owed, *_now_and_next(order, reader, payments, under_way)]


def _changed(order: Order, change: OrderChange) -> Step:
    title = change.get_to_status_display()
    text = change.because
    if not change.from_status:
        title = "Ordered"
        text = f"{order.container.plan}, {money(order.price, order.currency)} a {order.period}"
    elif change.from_status == change.to_status:
        title, text = text.capitalize(), ""
    return Step(DONE, title, change.at, change.by, text)


def _not_paid(payment: Payment) -> list[Step]:
    """What the order's own history does not say of a payment."""
    if payment.status == PaymentStatus.REJECTED:
        return [Step(FAILED, "Payment refused", payment.modified, text="Nothing was charged.",
                     detail=payment.message)]  # fmt: skip
    if payment.status == PaymentStatus.ERROR:
        return [Step(FAILED, "Payment failed", payment.modified, detail=payment.message,
                     text="The gateway reported an error.")]  # fmt: skip
    return []


def _to_be_given_back(payment: Payment, reader: User) -> Step:
    amount = money(payment.captured_amount, payment.currency)
    may = reader.is_staff and reader.has_perm("orders.change_payment")
    return Step(
        FAILED,
        f"{amount} to be given back",
        text=f"This order does not need payment {payment.pk}.",
        payment=payment if may else None,
    )


def _hint(order: Order, reader: User) -> str:
    """A further sentence for whoever can start what was created."""
    can_start = order.container.action_for(reader, "start") is not None
    return ". It is ready. Start it on its page." if can_start else ""


def _tried_to_create(work: Operation, hint: str) -> Step:
    if work.outcome == Operation.Outcome.FAILED:
        return Step(
            FAILED, "Creation failed", work.ended_at, text=work.error, detail=work.error_detail
        )
    return Step(
        DONE, "Container created", work.ended_at, by=work.asked_by,
        text=f"took {work.took}{hint}", shows_container=True,
    )  # fmt: skip


def _now_and_next(
    order: Order, reader: User, payments: list[Payment], under_way: Operation | None
) -> list[Step]:
    if order.status in {Order.Status.FULFILLED, Order.Status.CANCELLED, Order.Status.REFUNDED}:
        return []
    if order.status == Order.Status.UNPAID and not can_proceed(order.pay):
        return [_nothing_to_pay(order, payments)]
    found = []
    exists = order.container.node_id is not None and under_way is None
    if order.status == Order.Status.UNPAID:
        found.append(_unpaid(order, payments))
    if under_way is not None:
        found.append(
            Step(
                CURRENT,
                "Creating the container",
                under_way.asked_at,
                under_way.asked_by,
                text=under_way.because,
                detail=under_way.error_detail,
                work=under_way,
            )
        )
    elif order.status == Order.Status.PAID and not exists:
        found.append(_waiting(order, reader))
    if not exists:
        found.append(Step(TODO, "Container ready"))
    return found


def _unpaid(order: Order, payments: list[Payment]) -> Step:
    text = "An administrator has not waited for the payment to create the container."
    if order.awaits_payment_to_begin:
        text = "The container is created as soon as it is paid."
    text += _begun(payments)
    return Step(CURRENT, f"{money(order.price, order.currency)} to be paid", text=text)


def _nothing_to_pay(order: Order, payments: list[Payment]) -> Step:
    """Its container was created and destroyed before anything was paid."""
    gone = "was" if order.container.is_nowhere else "is being"
    text = f"The container {gone} destroyed before it was paid for.{_begun(payments)}"
    return Step(CURRENT, "Nothing to be paid", text=f"{text} What still arrives is given back.")


def _begun(payments: list[Payment]) -> str:
    """A further sentence, where a gateway may still confirm a payment."""
    begun = next((payment for payment in payments if payment.status in UNDECIDED), None)
    if begun is None:
        return ""
    at = localtime(begun.created)
    on = "" if at.date() == localdate() else f"on {day(at)} "
    time = date_format(at, "H:i T")
    return f" A payment was begun {on}at {time}; the gateway has not confirmed it."


def _waiting(order: Order, reader: User) -> Step:
    """Paid, and neither there nor being created."""
    container = order.container
    if container.create_again_at is not None:
        return Step(CURRENT, "Waiting to be created", text=container.problem,
                    again_at=container.create_again_at)  # fmt: skip
    text = (
        "It was tried several times. We look into it: it is tried again, or your money is given "
        "back. You need not do anything."
    )
    if reader.sees_everything:
        again, refund = (Order.actions()[name].label for name in ("try_again", "refund"))
        text = (
            "It was tried several times. Put right what the last try failed of, then press "
            f"“{again}”; or give the money back with “{refund}”."
        )
    return Step(FAILED, "The container could not be created", text=text)
