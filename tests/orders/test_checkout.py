"""From an order to a paid container, with everything that can come twice, late or in between."""

from __future__ import annotations

from decimal import Decimal

import pytest
from payments import PaymentStatus
from pytest_django import Settings

from containers import operations
from containers.drivers.simulated import Faults
from containers.models import Container, Node, StatusChange
from containers.observe import Watcher
from containers.reports import lose
from containers.settling import create_again
from containers.statuses import Status
from orders import checkout
from orders.checkout import Refused
from orders.models import Order, OrderChange, Payment, Plan
from panel.models import User
from tests.cast import NodeFactory
from tests.conftest import Clock, Worker
from tests.containers.acts import look
from tests.soak.audit import at_any_moment
from tests.tampering import simulated

from .conftest import Pay, creations, fresh

# --- ordering --------------------------------------------------------------------------------


def test_an_order_makes_a_container_with_what_the_plan_holds(order: Order, lena: User) -> None:
    container = order.container
    assert (container.status, container.customer, container.name) == (
        Status.ORDERED, lena, "web-01"
    )  # fmt: skip
    assert (container.plan, container.cpus, container.memory_mb, container.disk_gb) == (
        "Small 1 GB", 1, 1024, 20
    )  # fmt: skip
    assert (container.system, container.image) == ("Debian 12", "debian/12")
    [change] = StatusChange.objects.filter(container=container)
    assert (change.from_status, change.to_status) == ("", Status.ORDERED)
    assert (change.by, change.because) == (lena, f"order {order.pk}")


def test_an_order_alone_starts_no_work(order: Order, node: Node, worker: Worker) -> None:
    assert order.status == Order.Status.UNPAID
    assert creations(order) == []
    assert worker.waiting == []


def test_the_price_of_an_order_outlives_a_change_of_the_plan(order: Order, plan: Plan) -> None:
    plan.price, plan.memory_mb, plan.period = Decimal("99.00"), 8192, Plan.Period.YEAR
    plan.save()
    order = fresh(order)
    assert (order.price, order.period) == (Decimal("4.90"), Plan.Period.MONTH)
    assert order.container.memory_mb == 1024
    assert checkout.open_payment(order, order.customer).total == Decimal("4.90")


# --- paying ----------------------------------------------------------------------------------


def test_a_payment_starts_the_creation_and_the_creation_fulfils_the_order(
    order: Order, node: Node, pay: Pay, worker: Worker
) -> None:
    pay(order)
    assert order.status == Order.Status.PAID
    assert order.paid_at is not None
    [operation] = creations(order)
    assert (operation.asked_by, operation.because) == (None, f"order {order.pk} was paid")
    assert worker.waiting == [operation.pk]

    worker.carry_out_all()
    order = fresh(order)
    assert order.status == Order.Status.FULFILLED
    assert order.container.status == Status.STOPPED


def test_the_history_of_an_order_says_who_and_why(
    order: Order, lena: User, node: Node, pay: Pay, worker: Worker
) -> None:
    payment = pay(order)
    worker.carry_out_all()
    assert [(c.from_status, c.to_status, c.by, c.because) for c in order.changes.all()] == [
        ("", "unpaid", lena, ""),
        ("unpaid", "paid", None, f"payment {payment.pk}"),
        ("paid", "fulfilled", None, "its container was created"),
    ]


def test_a_notice_delivered_twice_pays_once(order: Order, node: Node, pay: Pay) -> None:
    payment = pay(order)
    for stale in (payment, Payment.objects.get(pk=payment.pk)):
        stale.change_status(PaymentStatus.CONFIRMED)
        checkout.payment_reported(Payment, stale)
    assert len(creations(order)) == 1
    assert order.changes.filter(to_status="paid").count() == 1
    assert not Payment.objects.filter(is_surplus=True).exists()


def test_a_late_refusal_does_not_take_a_payment_back(order: Order, node: Node, pay: Pay) -> None:
    in_another_tab = checkout.open_payment(order, order.customer)
    pay(order)
    in_another_tab.change_status(PaymentStatus.REJECTED)
    in_another_tab.save()
    payment = Payment.objects.get()
    assert payment.status == PaymentStatus.CONFIRMED
    assert payment.captured_amount == order.price


def test_paying_again_opens_no_second_payment(order: Order, node: Node, pay: Pay) -> None:
    pay(order)
    with pytest.raises(Refused, match="is paid already"):
        checkout.open_payment(order, order.customer)
    assert order.payments.count() == 1


def test_trying_to_pay_twice_uses_one_payment(order: Order) -> None:
    first, second = (checkout.open_payment(order, order.customer) for _ in range(2))
    assert first == second


def test_a_refused_payment_leaves_the_order_unpaid_and_may_be_tried_again(
    order: Order, node: Node, pay: Pay
) -> None:
    refused = checkout.open_payment(order, order.customer)
    refused.change_status(PaymentStatus.REJECTED)
    assert fresh(order).status == Order.Status.UNPAID
    assert pay(order) != refused
    assert order.status == Order.Status.PAID


def test_a_second_payment_that_arrives_all_the_same_is_a_surplus(
    order: Order, of_omar: Order, node: Node, pay: Pay, worker: Worker
) -> None:
    pay(of_omar)
    checkout.open_payment(order, order.customer).change_status(PaymentStatus.REJECTED)
    first, second = (
        Payment.objects.create(
            order=order, variant="dummy", total=order.price, currency=order.currency
        )
        for _ in range(2)
    )
    for payment in (first, second, second, first):
        payment.change_status(PaymentStatus.CONFIRMED)
    for status in (Order.Status.PAID, Order.Status.FULFILLED):
        assert fresh(order).status == status
        checkout.payment_reported(Payment, Payment.objects.get(pk=first.pk))
        checkout.payment_reported(Payment, Payment.objects.get(pk=second.pk))
        assert list(Payment.objects.filter(is_surplus=True)) == [second]
        worker.carry_out_all()
    assert len(creations(order)) == 1


def test_what_has_arrived_is_what_the_gateway_says_and_else_what_it_was_asked_for(
    order: Order, of_omar: Order
) -> None:
    for each, says in ((order, Decimal("4.00")), (of_omar, Decimal(0))):
        payment = checkout.open_payment(each, each.customer)
        payment.captured_amount = says
        payment.change_status(PaymentStatus.CONFIRMED)
    assert (order.kept(), of_omar.kept()) == (Decimal("4.00"), of_omar.price)


def test_money_for_a_cancelled_order_is_a_surplus(order: Order, lena: User, node: Node) -> None:
    payment = checkout.open_payment(order, lena)
    checkout.cancel(order, lena)
    payment.change_status(PaymentStatus.CONFIRMED)
    payment = Payment.objects.get()
    assert (payment.status, payment.is_surplus) == (PaymentStatus.CONFIRMED, True)
    assert fresh(order).status == Order.Status.CANCELLED
    assert creations(order) == []


def test_an_order_is_paid_even_where_no_node_has_room(
    order: Order, pay: Pay, clock: Clock, worker: Worker
) -> None:
    pay(order)
    assert order.status == Order.Status.PAID
    container = Container.objects.get(pk=order.container_id)
    assert container.status == Status.ORDERED
    assert container.create_again_at is not None
    assert "room" in container.problem
    assert not Order.objects.paid_not_created().exists()

    NodeFactory.create()
    clock.advance(31)
    operations.sweep()
    worker.carry_out_all()
    assert fresh(order).status == Order.Status.FULFILLED


def test_a_creation_given_up_is_listed_for_staff_until_it_is_tried_again(
    order: Order, pay: Pay, sten: User, worker: Worker
) -> None:
    pay(order)
    Container.objects.filter(pk=order.container_id).update(create_again_at=None, create_tries=5)
    assert list(Order.objects.paid_not_created()) == [order]

    NodeFactory.create()
    checkout.try_again(order, sten)
    assert not Order.objects.paid_not_created().exists()
    assert order.changes.filter(by=sten, because="creation to be tried again").exists()
    worker.carry_out_all()
    assert fresh(order).status == Order.Status.FULFILLED


def test_each_order_has_an_open_payment_of_its_own(
    order: Order, of_omar: Order, lena: User, omar: User
) -> None:
    first = checkout.open_payment(order, lena)
    second = checkout.open_payment(of_omar, omar)
    assert (first.order, second.order) == (order, of_omar)
    assert checkout.open_payment(order, lena) == first
    first.change_status(PaymentStatus.PREAUTH)
    assert checkout.open_payment(of_omar, omar) == second
    with pytest.raises(Refused, match="still checking"):
        checkout.open_payment(order, lena)


def test_what_was_begun_at_another_gateway_than_that_of_now_is_begun_anew(
    order: Order, lena: User, settings: Settings
) -> None:
    checkout.open_payment(order, lena)
    settings.PAYMENT_VARIANTS = {"other": ["payments.dummy.DummyProvider", {}]}
    assert checkout.open_payment(order, lena).variant == "other"


def test_what_is_tried_again_has_all_its_tries_once_more(
    order: Order, pay: Pay, node: Node, sten: User, worker: Worker
) -> None:
    simulated(node).set_faults(Faults(failing=True))
    pay(order)
    worker.carry_out_all()
    Container.objects.update(create_again_at=None, create_tries=5)
    checkout.try_again(order, sten)
    worker.carry_out_all()
    container = Container.objects.get()
    assert (container.status, container.create_tries) == (Status.ORDERED, 1)
    assert container.create_again_at is not None


def test_a_container_that_is_lost_and_cannot_be_made_again_is_listed_for_staff_until_it_is(
    order: Order, pay: Pay, node: Node, sten: User, ada: User, worker: Worker
) -> None:
    pay(order)
    worker.carry_out_all()
    simulated(node).lose(order.container.instance_name)
    look(Watcher())
    simulated(node).set_faults(Faults(failing=True))
    create_again(node, order.container_id, by=ada)
    worker.carry_out_all()
    assert fresh(order).status == Order.Status.PAID
    Container.objects.update(create_again_at=None)
    assert list(Order.objects.paid_not_created()) == [order]
    offered = [action.name for action in fresh(order).actions_for(sten)]
    assert offered == ["try_again", "refund"]

    simulated(node).set_faults(Faults())
    checkout.try_again(order, sten)
    worker.carry_out_all()
    assert fresh(order).status == Order.Status.FULFILLED
    assert not at_any_moment()


def test_a_container_that_is_lost_and_made_again_leaves_its_order_fulfilled(
    order: Order, pay: Pay, node: Node, ada: User, worker: Worker
) -> None:
    pay(order)
    worker.carry_out_all()
    simulated(node).lose(order.container.instance_name)
    look(Watcher())
    create_again(node, order.container_id, by=ada)
    worker.carry_out_all()
    assert fresh(order).status == Order.Status.FULFILLED
    assert [change.to_status for change in order.changes.all()] == ["unpaid", "paid", "fulfilled"]


def test_an_administrators_create_leaves_the_order_unpaid(
    order: Order, ada: User, node: Node, worker: Worker
) -> None:
    operations.request(order.container_id, "create", by=ada)
    worker.carry_out_all()
    assert fresh(order).status == Order.Status.UNPAID


def test_paying_what_exists_already_fulfils_the_order_at_once(
    order: Order, ada: User, node: Node, pay: Pay, worker: Worker
) -> None:
    operations.request(order.container_id, "create", by=ada)
    worker.carry_out_all()
    pay(order)
    assert order.status == Order.Status.FULFILLED
    assert len(creations(order)) == 1


def test_paying_what_is_being_created_fulfils_the_order_when_it_is(
    order: Order, of_omar: Order, ada: User, node: Node, pay: Pay, worker: Worker
) -> None:
    operations.request(order.container_id, "create", by=ada)
    pay(order)
    assert order.status == Order.Status.PAID
    worker.carry_out_all()
    assert fresh(order).status == Order.Status.FULFILLED
    assert fresh(of_omar).status == Order.Status.UNPAID
    assert len(creations(order)) == 1


def test_a_container_that_is_destroyed_cannot_be_paid(destroyed_unpaid: Order, lena: User) -> None:
    with pytest.raises(Refused, match="is destroyed already"):
        checkout.open_payment(destroyed_unpaid, lena)
    assert [action.name for action in destroyed_unpaid.actions_for(lena)] == ["cancel"]


def test_money_that_arrives_after_the_container_was_destroyed_is_a_surplus_and_given_back(
    destroyed_unpaid: Order, lena: User, sten: User
) -> None:
    payment = Payment.objects.get()
    for _ in range(2):
        payment.change_status(PaymentStatus.CONFIRMED)
    order = fresh(destroyed_unpaid)
    assert (order.status, order.paid_at) == (Order.Status.UNPAID, None)
    assert list(Payment.objects.kept().filter(is_surplus=True)) == [payment]
    assert not at_any_moment()

    checkout.cancel(order, lena)
    checkout.give_back(payment, sten)
    assert not Payment.objects.kept().exists()
    assert not at_any_moment()


@pytest.mark.parametrize("offline", [False, True])
def test_what_is_about_to_be_destroyed_is_not_paid_and_may_be_if_it_is_not(
    created_unpaid: Order, ada: User, node: Node, pay: Pay, worker: Worker, clock: Clock,
    offline: bool,
) -> None:  # fmt: skip
    payment = checkout.open_payment(created_unpaid, created_unpaid.customer)
    operations.request(created_unpaid.container_id, "destroy", by=ada)
    if offline:
        lose(node, "no answer")
    payment.change_status(PaymentStatus.CONFIRMED)
    assert Payment.objects.get().is_surplus
    with pytest.raises(Refused, match="too late"):
        checkout.open_payment(fresh(created_unpaid), created_unpaid.customer)

    Container.objects.update(status=Status.STOPPED)
    assert pay(fresh(created_unpaid)) != payment
    assert fresh(created_unpaid).status == Order.Status.FULFILLED


def test_why_a_creation_is_tried_again_is_kept_whole_however_long_the_name(
    order: Order, sten: User, pay: Pay
) -> None:
    sten.first_name, sten.last_name = "N" * 150, "M" * 150
    sten.save()
    pay(order)
    NodeFactory.create()
    checkout.try_again(order, sten)
    [operation] = creations(order)
    assert operation.because == f"{sten} asked to try again"
    assert operation.asked_by is None


def test_what_fails_while_a_payment_is_written_down_undoes_the_payment(
    order: Order, node: Node, pay: Pay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(operations, "request", broken)
    with pytest.raises(RuntimeError):
        pay(order)
    assert Payment.objects.get().status == PaymentStatus.WAITING
    assert fresh(order).status == Order.Status.UNPAID


def test_every_transition_of_an_order_names_who_may_make_it() -> None:
    assert all(arrow.permission is not None for arrow in Order.transitions())


def test_no_transition_happens_without_its_row_of_history(
    order: Order, sten: User, pay: Pay, worker: Worker
) -> None:
    pay(order)
    checkout.refund(order, sten)
    moved = [c for c in OrderChange.objects.filter(order=order) if c.from_status != c.to_status]
    assert [change.to_status for change in moved] == ["unpaid", "paid", "refunded"]
