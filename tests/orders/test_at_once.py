"""Two of everything at the same moment: real threads, each with a connection of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from threading import Barrier
from time import sleep
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from payments import PaymentStatus
from payments.dummy import DummyProvider
from pytest_django import Settings

from containers import operations
from containers.models import Container, Node, Operation
from containers.operations import NotAllowed
from containers.statuses import Status
from orders import checkout
from orders.checkout import NameTaken, Refused, TooManyUnpaid, paying
from orders.models import Order, Payment, Plan, System
from panel.models import User
from tests.conftest import JustThen
from tests.soak.audit import at_any_moment

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Make all calls in the same moment; what they raise comes back like what they return."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return call()
        except (Refused, NotAllowed) as reason:
            return reason
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def test_a_form_sent_eight_times_at_once_is_one_order(
    lena: User, plan: Plan, system: System
) -> None:
    token = uuid4()

    def place() -> Order:
        return checkout.place_order(
            customer=lena, by=lena, plan=plan, system=system, name="web-01", token=token
        )

    placed = at_once(*[place] * 8)
    assert {order.pk for order in placed} == {Order.objects.get().pk}
    assert Container.objects.count() == 1


def test_of_two_forms_with_the_same_name_at_once_one_is_told_so(
    lena: User, plan: Plan, system: System
) -> None:
    def place() -> Order:
        return checkout.place_order(customer=lena, by=lena, plan=plan, system=system, name="web-01")

    placed = at_once(place, place)
    assert sorted(type(one).__name__ for one in placed) == ["NameTaken", "Order"]
    assert isinstance(next(one for one in placed if not isinstance(one, Order)), NameTaken)


def test_opening_a_payment_in_eight_tabs_at_once_opens_one(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow() -> str:
        """Asked for between looking for an open payment and making one: time for the others."""
        sleep(0.02)
        return "dummy"

    monkeypatch.setattr(paying, "gateway", slow)
    opened = at_once(*[lambda: checkout.open_payment(order, order.customer)] * 8)
    assert [payment.pk for payment in opened] == [Payment.objects.get().pk] * 8


def test_eight_notices_at_once_pay_once(order: Order, node: Node) -> None:
    payment = checkout.open_payment(order, order.customer)

    def notice() -> None:
        Payment.objects.get(pk=payment.pk).change_status(PaymentStatus.CONFIRMED)

    at_once(*[notice] * 8)
    assert Operation.objects.filter(kind="create").count() == 1
    assert order.changes.filter(to_status="paid").count() == 1
    assert not Payment.objects.get().is_surplus


def test_a_row_that_is_saved_whole_as_the_money_comes_leaves_where_it_came_from(
    order: Order, node: Node, just_then: JustThen
) -> None:
    read_earlier = checkout.open_payment(order, order.customer)

    def notice() -> None:
        payment = Payment.objects.get()
        payment.transaction_id = "cs_1"
        payment.change_status(PaymentStatus.CONFIRMED)
        payment.save()

    came = just_then(Payment, "_known_status", notice)
    read_earlier.save()
    came()
    assert Payment.objects.get().transaction_id == "cs_1"


@pytest.mark.parametrize("turn", range(5))
def test_cancelling_and_creating_at_once_leaves_one_of_them(
    order: Order, lena: User, ada: User, node: Node, turn: int
) -> None:
    at_once(
        lambda: checkout.cancel(order, lena),
        lambda: operations.request(order.container_id, "create", by=ada),
    )
    order.refresh_from_db()
    container = Container.objects.get(pk=order.container_id)
    cancelled = order.status == Order.Status.CANCELLED
    assert cancelled == (container.withdrawn_at is not None)
    assert cancelled == (container.status == Status.ORDERED)
    assert cancelled != container.operations.exists()


@pytest.mark.parametrize("turn", range(5))
def test_cancelling_and_paying_at_once_keeps_no_money_for_nothing(
    order: Order, lena: User, node: Node, turn: int
) -> None:
    payment = checkout.open_payment(order, lena)
    at_once(
        lambda: checkout.cancel(order, lena),
        lambda: Payment.objects.get(pk=payment.pk).change_status(PaymentStatus.CONFIRMED),
    )
    order.refresh_from_db()
    payment = Payment.objects.get()
    assert payment.status == PaymentStatus.CONFIRMED
    assert (order.status == Order.Status.CANCELLED) == payment.is_surplus
    assert (order.status == Order.Status.PAID) == order.container.operations.exists()


@pytest.mark.parametrize("turn", range(5))
def test_paying_in_the_moment_in_which_the_creation_ends_fulfils_the_order(
    order: Order, ada: User, node: Node, turn: int
) -> None:
    payment = checkout.open_payment(order, order.customer)
    creation = operations.request(order.container_id, "create", by=ada)
    assert creation is not None
    at_once(
        lambda: operations.carry_out(creation.pk),
        lambda: Payment.objects.get(pk=payment.pk).change_status(PaymentStatus.CONFIRMED),
    )
    order.refresh_from_db()
    assert order.status == Order.Status.FULFILLED
    assert order.container.operations.count() == 1


@pytest.mark.parametrize("turn", range(5))
def test_paying_and_destroying_at_once_keeps_no_money_for_nothing(
    created_unpaid: Order, ada: User, turn: int
) -> None:
    order = created_unpaid
    payment = checkout.open_payment(order, order.customer)
    at_once(
        lambda: operations.request(order.container_id, "destroy", by=ada),
        lambda: Payment.objects.get(pk=payment.pk).change_status(PaymentStatus.CONFIRMED),
    )
    order.refresh_from_db()
    payment = Payment.objects.get()
    assert payment.status == PaymentStatus.CONFIRMED
    assert order.container.status == Status.DESTROYING
    assert (order.status == Order.Status.UNPAID) == payment.is_surplus
    assert (order.status == Order.Status.FULFILLED) != payment.is_surplus
    assert not at_any_moment()


def test_two_staff_refunding_at_once_give_the_money_back_once(
    order: Order, sten: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def refund(_: DummyProvider, payment: Payment, amount: Decimal) -> Decimal:
        asked.append(payment.pk)
        return amount

    monkeypatch.setattr(DummyProvider, "refund", refund)
    checkout.open_payment(order, order.customer).change_status(PaymentStatus.CONFIRMED)
    results = at_once(*[lambda: checkout.refund(order, sten)] * 4)
    assert sorted(isinstance(result, Refused) for result in results) == [False, True, True, True]
    assert asked == [Payment.objects.get().pk]


def test_a_customer_who_orders_many_at_once_has_only_so_many_unpaid(
    lena: User, plan: Plan, system: System, settings: Settings
) -> None:
    settings.UNPAID_ORDERS = 2

    def place(number: int) -> Order:
        return checkout.place_order(
            customer=lena, by=lena, plan=plan, system=system, name=f"web-{number}"
        )

    answers = at_once(*(partial(place, number) for number in range(6)))
    assert len([answer for answer in answers if isinstance(answer, TooManyUnpaid)]) == 4
    assert Order.objects.count() == 2
