"""Orders taken back: cancelled before they were paid, refunded before anything was created."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from payments import PaymentError, PaymentStatus
from payments.dummy import DummyProvider
from pytest_django import Settings

from containers import operations
from containers.models import Container, Node
from containers.operations import NotAllowed
from containers.statuses import Status
from orders import checkout
from orders.checkout import Refused
from orders.models import Order, Payment, Plan, System
from panel.models import User
from tests.cast import ContainerFactory
from tests.conftest import Clock, Worker

from .conftest import Pay, creations, fresh


def withdrawn(order: Order) -> bool:
    return Container.objects.filter(pk=order.container_id, withdrawn_at__isnull=False).exists()


def statuses_of(order: Order) -> list[str]:
    """Those of its payments, the oldest first."""
    return list(order.payments.order_by("pk").values_list("status", flat=True))


# --- cancelling ------------------------------------------------------------------------------


def test_cancelling_takes_the_container_off_the_list_and_keeps_the_order(
    order: Order, lena: User
) -> None:
    payment = checkout.open_payment(order, lena)
    checkout.cancel(order, lena)
    assert fresh(order).status == Order.Status.CANCELLED
    assert not Container.objects.visible_to(lena).exists()
    assert list(Order.objects.visible_to(lena)) == [order]
    assert order.changes.get(to_status="cancelled").by == lena
    assert Payment.objects.get(pk=payment.pk).status == PaymentStatus.CANCELLED


def test_cancelling_calls_off_what_is_open_of_this_order_and_nothing_else(
    order: Order, of_omar: Order, lena: User, omar: User
) -> None:
    checkout.open_payment(order, lena).change_status(PaymentStatus.REJECTED)
    checkout.open_payment(order, lena)
    checkout.open_payment(of_omar, omar)
    checkout.cancel(order, lena)
    assert statuses_of(order) == [PaymentStatus.REJECTED, PaymentStatus.CANCELLED]
    assert statuses_of(of_omar) == [PaymentStatus.WAITING]


def test_the_name_of_a_cancelled_order_is_free_again(
    order: Order, lena: User, plan: Plan, system: System
) -> None:
    checkout.cancel(order, lena)
    again = checkout.place_order(customer=lena, by=lena, plan=plan, system=system, name="web-01")
    assert again.container.name == "web-01"


@pytest.mark.parametrize("name", ["omar", "sten"])
def test_only_the_customer_and_administrators_cancel(
    order: Order, name: str, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(Refused, match="not for you"):
        checkout.cancel(order, request.getfixturevalue(name))
    assert fresh(order).status == Order.Status.UNPAID


def test_a_paid_order_is_not_cancelled(order: Order, lena: User, node: Node, pay: Pay) -> None:
    pay(order)
    with pytest.raises(Refused, match="is paid already"):
        checkout.cancel(order, lena)


def test_what_an_administrator_created_meanwhile_is_not_cancelled(
    order: Order, lena: User, ada: User, node: Node
) -> None:
    operations.request(order.container_id, "create", by=ada)
    with pytest.raises(Refused, match="creating already"):
        checkout.cancel(order, lena)
    assert not withdrawn(order)


def test_what_was_cancelled_meanwhile_is_not_created(
    order: Order, lena: User, ada: User, node: Node
) -> None:
    checkout.cancel(order, lena)
    with pytest.raises(NotAllowed):
        operations.request(order.container_id, "create", by=ada)
    assert creations(order) == []


def test_an_unpaid_order_whose_container_was_destroyed_can_be_cancelled_and_keeps_it_on_record(
    order: Order, lena: User
) -> None:
    destroyed = ContainerFactory.create(customer=lena, name="old", status=Status.DESTROYED)
    Order.objects.filter(pk=order.pk).update(container=destroyed)
    checkout.cancel(order, lena)
    assert fresh(order).status == Order.Status.CANCELLED
    assert not withdrawn(fresh(order))


# --- giving back -----------------------------------------------------------------------------


def test_staff_whom_the_admin_does_not_let_change_orders_refund_nothing(
    order: Order, sten: User, pay: Pay
) -> None:
    pay(order)
    sten.groups.clear()
    with pytest.raises(Refused, match="not for you"):
        checkout.refund(order, sten)
    assert fresh(order).status == Order.Status.PAID


def test_a_refund_gives_the_money_back_and_withdraws_the_container(
    order: Order, sten: User, pay: Pay
) -> None:
    payment = pay(order)
    checkout.refund(order, sten)
    assert fresh(order).status == Order.Status.REFUNDED
    assert withdrawn(order)
    assert Payment.objects.get().status == PaymentStatus.REFUNDED
    assert [c.because for c in order.changes.filter(by=sten)] == [
        "", f"payment {payment.pk} given back"
    ]  # fmt: skip


def test_a_refund_gives_back_what_has_arrived_for_this_order_and_nothing_else(
    order: Order, of_omar: Order, lena: User, sten: User, pay: Pay
) -> None:
    checkout.open_payment(order, lena).change_status(PaymentStatus.REJECTED)
    payment = pay(order)
    pay(of_omar)
    before = Container.objects.values().get(pk=of_omar.container_id)
    assert order.kept() == Decimal("4.90")
    checkout.refund(order, sten)
    assert order.kept() == 0
    assert of_omar.kept() == Decimal("4.90")
    assert statuses_of(order) == [PaymentStatus.REJECTED, PaymentStatus.REFUNDED]
    assert statuses_of(of_omar) == [PaymentStatus.CONFIRMED]
    assert list(Payment.objects.filter(is_surplus=True)) == [payment]
    assert Container.objects.values().get(pk=of_omar.container_id) == before


def test_what_a_gateway_gives_back_in_part_leaves_the_rest_to_be_given_back(
    order: Order, sten: User, pay: Pay, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = pay(order)
    monkeypatch.setattr(DummyProvider, "refund", lambda *_, **__: Decimal("2.00"))
    checkout.refund(order, sten)
    assert list(Payment.objects.kept().filter(is_surplus=True)) == [payment]
    assert order.kept() == Decimal("2.90")


def test_what_waits_for_room_waits_no_longer_once_its_order_is_refunded(
    order: Order, sten: User, pay: Pay
) -> None:
    pay(order)
    assert Container.objects.get().create_again_at is not None
    checkout.refund(order, sten)
    assert Container.objects.get().create_again_at is None


def test_a_customer_cannot_refund(order: Order, lena: User, pay: Pay) -> None:
    pay(order)
    with pytest.raises(Refused, match="not for you"):
        checkout.refund(order, lena)


def test_what_was_created_is_not_refunded(
    order: Order, sten: User, node: Node, pay: Pay, worker: Worker
) -> None:
    pay(order)
    with pytest.raises(Refused, match="creating already"):
        checkout.refund(order, sten)
    worker.carry_out_all()
    with pytest.raises(Refused, match="fulfilled already"):
        checkout.refund(order, sten)
    assert Payment.objects.get().status == PaymentStatus.CONFIRMED


def test_money_that_the_gateway_keeps_stays_listed_until_it_is_given_back(
    order: Order, of_omar: Order, sten: User, pay: Pay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keeps(*_: Any, **__: Any) -> Decimal:
        raise PaymentError("no such charge")

    payment, not_answered, since = pay(order), pay(of_omar), timezone.now()
    Payment.objects.filter(pk=not_answered.pk).update(giving_back_since=since)
    with monkeypatch.context() as broken:
        broken.setattr(DummyProvider, "refund", keeps)
        with pytest.raises(Refused, match="no such charge"):
            checkout.refund(order, sten)
    assert fresh(order).status == Order.Status.REFUNDED
    assert list(Payment.objects.kept().filter(is_surplus=True)) == [payment]
    assert Payment.objects.get(giving_back_since=since) == not_answered

    checkout.give_back(payment, sten)
    assert list(Payment.objects.kept()) == [not_answered]


def test_what_one_gateway_keeps_does_not_keep_the_rest_from_being_given_back(
    order: Order, sten: User, pay: Pay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keeps(_: DummyProvider, payment: Payment, amount: Decimal) -> Decimal:
        if payment.pk == last.pk:
            raise PaymentError("no such charge")
        return amount

    first = pay(order)
    last = Payment.objects.begin(order, checkout.gateway())
    last.change_status(PaymentStatus.CONFIRMED)
    monkeypatch.setattr(DummyProvider, "refund", keeps)
    with pytest.raises(Refused, match="no such charge"):
        checkout.refund(order, sten)
    assert Payment.objects.get(pk=first.pk).status == PaymentStatus.REFUNDED
    assert Payment.objects.kept().get() == last


def test_money_of_a_gateway_that_was_taken_out_of_the_settings_stays_listed(
    order: Order, sten: User, pay: Pay, settings: Settings
) -> None:
    payment = pay(order)
    settings.PAYMENT_VARIANTS = {"other": ["payments.dummy.DummyProvider", {}]}
    with pytest.raises(Refused, match="BERTH_PAYMENT_VARIANTS has no “dummy” any more"):
        checkout.refund(order, sten)
    assert fresh(order).status == Order.Status.REFUNDED
    checkout.was_given_back(payment, sten)
    assert not Payment.objects.kept().exists()


def test_an_order_is_cancelled_whose_gateway_was_taken_out_of_the_settings(
    order: Order, lena: User, settings: Settings
) -> None:
    checkout.open_payment(order, lena)
    settings.PAYMENT_VARIANTS = {"other": ["payments.dummy.DummyProvider", {}]}
    checkout.cancel(order, lena)
    assert fresh(order).status == Order.Status.CANCELLED


def test_money_is_given_back_once(
    order: Order, lena: User, sten: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refund(_: DummyProvider, payment: Payment, amount: Decimal) -> Decimal:
        asked.append(payment.pk)
        with pytest.raises(Refused, match="nothing to be given back"):
            checkout.give_back(payment, sten)
        return amount

    payment = checkout.open_payment(order, lena)
    checkout.cancel(order, lena)
    payment.change_status(PaymentStatus.CONFIRMED)
    monkeypatch.setattr(DummyProvider, "refund", refund)
    checkout.give_back(payment, sten)
    with pytest.raises(Refused, match="nothing to be given back"):
        checkout.give_back(payment, sten)
    assert asked == [payment.pk]


def test_while_one_payment_is_given_back_others_can_be(
    order: Order, of_omar: Order, lena: User, omar: User, sten: User
) -> None:
    for each, customer in ((order, lena), (of_omar, omar)):
        payment = checkout.open_payment(each, customer)
        checkout.cancel(each, customer)
        payment.change_status(PaymentStatus.CONFIRMED)
    one, other = Payment.objects.order_by("pk")
    checkout.give_back(one, sten)
    assert statuses_of(of_omar) == [PaymentStatus.CONFIRMED]
    checkout.give_back(other, sten)
    assert statuses_of(of_omar) == [PaymentStatus.REFUNDED]


def test_the_payment_of_a_good_order_is_not_given_back(
    order: Order, sten: User, node: Node, pay: Pay
) -> None:
    with pytest.raises(Refused, match="nothing to be given back"):
        checkout.give_back(pay(order), sten)
    assert Payment.objects.get().giving_back_since is None


def test_a_gateway_that_died_while_giving_back_may_be_asked_again(
    order: Order, lena: User, sten: User, clock: Clock
) -> None:
    payment = checkout.open_payment(order, lena)
    checkout.cancel(order, lena)
    payment.change_status(PaymentStatus.CONFIRMED)
    Payment.objects.update(giving_back_since=clock.now())
    with pytest.raises(Refused):
        checkout.give_back(payment, sten)
    clock.advance(by=timedelta(minutes=6))
    checkout.give_back(payment, sten)
    assert Payment.objects.get().status == PaymentStatus.REFUNDED


def test_the_history_of_what_is_given_back_goes_by_the_order_as_it_is_then(
    order: Order, sten: User, node: Node, pay: Pay, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(_: DummyProvider, payment: Payment, amount: Decimal) -> Decimal:
        worker.carry_out_all()
        return amount

    first = pay(order)
    twice = Payment.objects.create(
        order=order, variant=first.variant, total=order.price, currency="EUR",
        status=PaymentStatus.CONFIRMED, captured_amount=order.price, is_surplus=True,
    )  # fmt: skip
    monkeypatch.setattr(DummyProvider, "refund", slow)
    checkout.give_back(twice, sten)
    assert list(order.changes.values_list("from_status", "to_status"))[-2:] == [
        ("paid", "fulfilled"), ("fulfilled", "fulfilled")
    ]  # fmt: skip


@pytest.fixture
def surplus(order: Order, lena: User) -> Payment:
    """Paid after the order was cancelled."""
    payment = checkout.open_payment(order, lena)
    checkout.cancel(order, lena)
    payment.change_status(PaymentStatus.CONFIRMED)
    return payment


def test_where_the_answer_of_the_gateway_is_lost_it_is_not_asked_again_at_once(
    surplus: Payment, sten: User, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def answers_nothing(_: DummyProvider, payment: Payment, amount: Decimal) -> Decimal:
        asked.append(amount)
        raise TimeoutError("read timed out")

    monkeypatch.setattr(DummyProvider, "refund", answers_nothing)
    with pytest.raises(Refused, match=r"not known whether .* has given .* back: read"):
        checkout.give_back(surplus, sten)
    with pytest.raises(Refused, match="nothing to be given back"):
        checkout.give_back(surplus, sten)
    assert asked == [Decimal("4.90")]
    clock.advance(by=timedelta(minutes=6))
    with pytest.raises(Refused, match="not known"):
        checkout.give_back(surplus, sten)
    assert len(asked) == 2


def test_what_somebody_saw_given_back_at_the_gateway_is_written_down_without_asking_it(
    surplus: Payment, sten: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(DummyProvider, "refund")
    Payment.objects.update(giving_back_since=timezone.now())
    checkout.was_given_back(surplus, sten)
    now = Payment.objects.get()
    assert (now.status, now.captured_amount) == (PaymentStatus.REFUNDED, 0)
    change = surplus.order.changes.last()
    assert change is not None
    assert (change.by, change.from_status, change.to_status, change.because) == (
        sten, "cancelled", "cancelled", f"payment {now.pk} was given back at the gateway"
    )  # fmt: skip
    with pytest.raises(Refused, match="nothing to be given back"):
        checkout.was_given_back(surplus, sten)
    assert surplus.order.changes.filter(because=change.because).count() == 1


def test_only_what_is_to_be_given_back_can_be_written_down_as_given_back(
    order: Order, sten: User, node: Node, pay: Pay
) -> None:
    with pytest.raises(Refused, match="nothing to be given back"):
        checkout.was_given_back(pay(order), sten)
    assert Payment.objects.get().status == PaymentStatus.CONFIRMED


@pytest.mark.parametrize("way", ["returns", "saves", "changes the status"])
def test_what_is_written_down_while_the_gateway_is_asked_ends_as_given_back(
    surplus: Payment, sten: User, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    def slow(_: DummyProvider, payment: Payment, amount: Decimal) -> Decimal:
        checkout.was_given_back(surplus, sten)
        if way == "saves":
            payment.save()
        if way == "changes the status":
            payment.change_status(PaymentStatus.REFUNDED)
        return amount

    monkeypatch.setattr(DummyProvider, "refund", slow)
    checkout.give_back(surplus, sten)
    now = Payment.objects.get()
    assert (now.status, now.captured_amount) == (PaymentStatus.REFUNDED, 0)


def test_what_is_written_down_just_before_the_gateway_is_asked_it_is_not_asked_for(
    surplus: Payment, sten: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    written_down: list[str] = []

    def other_is_faster(execute: Any, sql: str, *rest: Any) -> Any:
        claimed = execute(sql, *rest)
        if sql.startswith("UPDATE") and not written_down:
            written_down.append(sql)
            checkout.was_given_back(surplus, sten)
        return claimed

    monkeypatch.delattr(DummyProvider, "refund")
    with (
        connection.execute_wrapper(other_is_faster),
        pytest.raises(Refused, match="nothing to be given back"),
    ):
        checkout.give_back(surplus, sten)
    assert Payment.objects.get().status == PaymentStatus.REFUNDED
