"""The time line of an order, from the order to the container."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from payments import PaymentError, PaymentStatus
from payments.dummy import DummyProvider
from pytest_django import Settings

from containers import operations
from containers.connect import simulated
from containers.drivers.simulated import Faults
from containers.models import Container, Node
from containers.placement import NoNodeFits
from orders import checkout
from orders.checkout import Refused
from orders.models import Order, Payment
from panel.models import User
from tests.cast import NodeFactory
from tests.conftest import Clock, Worker
from tests.containers.acts import ask_and_wait

from .conftest import Pay

pytestmark = pytest.mark.django_db


def titles(client: Client, order: Order) -> list[str]:
    """The time line, in short."""
    steps = client.get(f"/orders/{order.pk}/").context["steps"]
    return [f"{step.state}: {step.title}" for step in steps]


def test_the_time_line_goes_from_the_order_to_the_container(
    as_lena: Client, order: Order, node: Node, pay: Pay, worker: Worker
) -> None:
    assert titles(as_lena, order) == [
        "done: Ordered", "current: €4.90 to be paid", "todo: Container ready"
    ]  # fmt: skip
    pay(order)
    assert titles(as_lena, order) == [
        "done: Ordered", "done: Paid", "current: Creating the container", "todo: Container ready"
    ]  # fmt: skip
    worker.carry_out_all()
    assert titles(as_lena, order) == [
        "done: Ordered", "done: Paid", "done: Container created", "done: Fulfilled"
    ]  # fmt: skip


def test_the_time_line_shows_refused_payments_and_failed_creations(
    as_lena: Client, order: Order, pay: Pay, worker: Worker
) -> None:
    checkout.open_payment(order, order.customer).change_status(PaymentStatus.REJECTED)
    simulated(NodeFactory.create()).set_faults(Faults(full=True))
    pay(order)
    worker.carry_out_all()
    assert titles(as_lena, order) == [
        "done: Ordered", "failed: Payment refused", "done: Paid", "failed: Creation failed",
        "current: Waiting to be created", "todo: Container ready",
    ]  # fmt: skip
    assert "The next try is at" in as_lena.get(f"/orders/{order.pk}/").content.decode()


def test_a_creation_given_up_says_so(as_lena: Client, order: Order, pay: Pay) -> None:
    pay(order)
    Container.objects.filter(pk=order.container_id).update(create_again_at=None)
    assert "failed: The container could not be created" in titles(as_lena, order)


def test_whoever_runs_the_panel_reads_what_they_can_do_about_a_creation_given_up(
    as_lena: Client, as_sten: Client, as_ada: Client, order: Order, pay: Pay
) -> None:
    pay(order)
    Container.objects.filter(pk=order.container_id).update(create_again_at=None)
    theirs, *others = (
        browser.get(f"/orders/{order.pk}/").content.decode()
        for browser in (as_lena, as_sten, as_ada)
    )
    assert "You need not do anything." in theirs
    assert "Try creation again" not in theirs
    for page in others:
        assert "You need not do anything." not in page
        assert "then press “Try creation again”; or give the money back with “Refund order”" in page


def test_what_is_fulfilled_leads_to_its_container_to_be_started(
    as_lena: Client, as_sten: Client, order: Order, node: Node, pay: Pay, worker: Worker
) -> None:
    hint, link = "It is ready. Start it on its page.", "Open the container</a>"
    pay(order)
    assert link not in as_lena.get(f"/orders/{order.pk}/").content.decode()
    worker.carry_out_all()
    page = as_lena.get(f"/orders/{order.pk}/").content.decode()
    assert hint in page
    assert link in page
    assert hint not in as_sten.get(f"/orders/{order.pk}/").content.decode()
    ask_and_wait(order.container, "start", worker, order.customer)
    page = as_lena.get(f"/orders/{order.pk}/").content.decode()
    assert hint not in page
    assert link in page


def test_what_was_created_without_waiting_is_not_said_to_begin_with_the_payment(
    as_lena: Client, created_unpaid: Order
) -> None:
    [*_, step] = as_lena.get(f"/orders/{created_unpaid.pk}/").context["steps"]
    assert (step.title, step.text) == (
        "€4.90 to be paid",
        "An administrator has not waited for the payment to create the container.",
    )


def test_what_an_administrator_has_begun_is_not_said_to_begin_with_the_payment(
    as_lena: Client, order: Order, ada: User
) -> None:
    with pytest.raises(NoNodeFits):
        operations.request(order.container_id, "create", by=ada)
    page = as_lena.get(f"/orders/{order.pk}/").content.decode()
    assert "An administrator has not waited" in page
    assert "as soon as it is paid" not in page


def test_where_the_container_was_destroyed_there_is_nothing_to_be_paid(
    as_lena: Client, destroyed_unpaid: Order
) -> None:
    [*_, made, last] = as_lena.get(f"/orders/{destroyed_unpaid.pk}/").context["steps"]
    assert (made.title, last.title) == ("Container created", "Nothing to be paid")
    assert "was destroyed before it was paid for. A payment was begun at" in last.text
    assert "What still arrives is given back." in last.text
    Payment.objects.get().change_status(PaymentStatus.CONFIRMED)
    assert titles(as_lena, destroyed_unpaid)[-2:] == [
        "failed: €4.90 to be given back", "current: Nothing to be paid"
    ]  # fmt: skip


def test_money_that_is_to_be_given_back_is_told_as_it_is_now_after_all_that_happened(
    as_lena: Client, order: Order, sten: User, pay: Pay, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = pay(order)

    def refuse(*_: Any) -> None:
        raise PaymentError("card closed")

    monkeypatch.setattr(DummyProvider, "refund", refuse)
    with pytest.raises(Refused):
        checkout.refund(order, sten)
    [*_, refunded, last] = as_lena.get(f"/orders/{order.pk}/").context["steps"]
    assert (refunded.title, last.title, last.at) == ("Refunded", "€4.90 to be given back", None)
    monkeypatch.undo()
    checkout.give_back(payment, sten)
    assert titles(as_lena, order)[-1] == f"done: Payment {payment.pk} given back"


def test_whoever_can_give_money_back_is_led_to_where_that_is_done(
    as_lena: Client, as_ada: Client, as_sten: Client, order: Order, lena: User
) -> None:
    payment = checkout.open_payment(order, lena)
    checkout.cancel(order, lena)
    payment.change_status(PaymentStatus.CONFIRMED)
    to = f"/admin/orders/payment/?q=payment+{payment.pk}"
    for browser, leads in ((as_lena, False), (as_ada, False), (as_sten, True)):
        assert (to in browser.get(f"/orders/{order.pk}/").content.decode()) == leads
    assert list(as_sten.get(to).context["cl"].queryset) == [payment]


def test_what_is_being_destroyed_says_so(as_lena: Client, created_unpaid: Order, ada: User) -> None:
    operations.request(created_unpaid.container_id, "destroy", by=ada)
    [*_, last] = as_lena.get(f"/orders/{created_unpaid.pk}/").context["steps"]
    assert "is being destroyed before it was paid for" in last.text


def test_the_time_line_says_who_cancelled(as_ada: Client, ada: User, order: Order) -> None:
    checkout.cancel(order, ada)
    page = as_ada.get(f"/orders/{order.pk}/")
    last = page.context["steps"][-1]
    assert (last.title, last.by) == ("Cancelled", ada)
    assert f"/containers/{order.container_id}/" not in page.content.decode()


def test_technical_reasons_are_for_staff(as_lena: Client, as_sten: Client, order: Order) -> None:
    payment = checkout.open_payment(order, order.customer)
    payment.change_status(PaymentStatus.ERROR, "E1234 upstream")
    assert "E1234" not in as_lena.get(f"/orders/{order.pk}/").content.decode()
    assert "E1234" in as_sten.get(f"/orders/{order.pk}/").content.decode()


def test_why_a_creation_takes_another_try_is_for_staff(
    as_lena: Client, as_sten: Client, order: Order, node: Node, pay: Pay
) -> None:
    pay(order)
    order.container.operations.update(error_detail="503 Slow Down")
    assert "503 Slow Down" in as_sten.get(f"/orders/{order.pk}/").content.decode()
    assert "503 Slow Down" not in as_lena.get(f"/orders/{order.pk}/").content.decode()


@pytest.mark.parametrize(
    ("days", "told"), [(0, "begun at 17:45 +0545;"), (9, "begun on 1 Jan at 17:45 +0545;")]
)
def test_a_payment_that_was_begun_is_told_in_the_time_of_the_panel(
    as_lena: Client, order: Order, settings: Settings, clock: Clock, days: int, told: str
) -> None:
    settings.TIME_ZONE = "Asia/Kathmandu"
    begun = datetime(2026, 1, 1, 12, tzinfo=UTC)
    Payment.objects.filter(pk=checkout.open_payment(order, order.customer).pk).update(created=begun)
    clock.advance(by=begun + timedelta(days=days) - clock.now())
    assert told in as_lena.get(f"/orders/{order.pk}/").content.decode()
