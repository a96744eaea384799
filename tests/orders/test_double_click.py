"""Two clicks on Pay at the same moment are one payment, and both end where the first one does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from django import forms
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone
from payments import PaymentStatus, RedirectNeeded, core
from payments.core import BasicProvider
from payments.dummy import DummyProvider
from pytest_django import Settings

from containers.models import Node, Operation
from orders import checkout
from orders.checkout import Refused, paying
from orders.models import Order, Payment
from orders.models.payment import PaymentQuerySet
from panel.models import User
from tests.orders.conftest import LONG, Clicks, read

pytestmark = pytest.mark.django_db(transaction=True)


class Gate:
    """Where whoever asks the gateway is held up until the test lets them on."""

    def __init__(self) -> None:
        self.asked = 0
        self.reached, self.open = Event(), Event()
        self.in_transaction = False

    def pass_through(self) -> None:
        self.asked += 1
        self.in_transaction |= connection.in_atomic_block
        self.reached.set()
        assert self.open.wait(LONG)


class Sessions(BasicProvider):
    """A gateway as Stripe is one: it makes a session once, and sends to the pages of that."""

    gate: Gate

    def get_form(self, payment: Payment, data: Any = None) -> forms.Form:
        if not payment.transaction_id:
            self.gate.pass_through()
            payment.transaction_id = f"cs_{self.gate.asked}"
            payment.save()
        raise RedirectNeeded(f"https://gateway.example/{payment.transaction_id}")


@pytest.fixture
def gate(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """The panel takes money through `Sessions`, which waits at this gate."""
    settings.PAYMENT_VARIANTS = {"sessions": (f"{__name__}.Sessions", {})}
    gate = Gate()
    monkeypatch.setattr(Sessions, "gate", gate, raising=False)
    yield gate
    gate.open.set()
    core.PROVIDER_CACHE.pop("sessions", None)


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """A gate before the simulated gateway."""
    gate, get_form = Gate(), DummyProvider.get_form

    def waits(self: DummyProvider, payment: Payment, data: Any = None) -> forms.Form:
        gate.pass_through()
        form: forms.Form = get_form(self, payment, data)
        return form

    monkeypatch.setattr(DummyProvider, "get_form", waits)
    return gate


class Queue:
    """The time of those who come second; somebody has `joined` once one of them waits."""

    def __init__(self) -> None:
        self.joined = Event()
        self.monotonic = time.monotonic

    def sleep(self, seconds: float) -> None:
        self.joined.set()
        time.sleep(seconds)


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    queue = Queue()
    monkeypatch.setattr(paying, "time", queue)
    return queue


def twice(click: Clicks, gate: Gate, queue: Queue, **sent: str) -> tuple[str, str]:
    """Click again while the gateway is at it, and read both answers."""
    first = click(**sent)
    assert gate.reached.wait(LONG)
    second = click(**sent)
    assert queue.joined.wait(LONG)
    gate.open.set()
    return read(first), read(second)


def test_a_double_click_ends_at_the_one_session_of_the_gateway(
    click: Clicks, gate: Gate, queue: Queue
) -> None:
    for page in twice(click, gate, queue):
        assert 'href="https://gateway.example/cs_1"' in page
    assert gate.asked == 1
    assert Payment.objects.get().transaction_id == "cs_1"
    assert Payment.objects.get().asking_since is None


def test_a_double_click_pays_once(click: Clicks, simulated: Gate, queue: Queue, node: Node) -> None:
    first, second = twice(click, simulated, queue, outcome="succeeds")
    assert "Thank you." in first
    assert "is paid already" in second
    assert simulated.asked == 1
    assert Payment.objects.get().status == PaymentStatus.CONFIRMED
    assert Operation.objects.count() == 1


def test_a_double_click_is_refused_once(
    click: Clicks, simulated: Gate, queue: Queue, order: Order
) -> None:
    first, second = twice(click, simulated, queue, outcome="refused")
    assert "Nothing was charged" in first
    assert "The gateway did not take the payment. Try again." in second
    assert simulated.asked == 1
    assert Payment.objects.get().status == PaymentStatus.REJECTED


def test_what_a_notice_pays_while_the_second_click_waits_is_not_paid_again(
    click: Clicks, gate: Gate, queue: Queue, order: Order, node: Node
) -> None:
    first = click()
    assert gate.reached.wait(LONG)
    second = click()
    assert queue.joined.wait(LONG)
    Payment.objects.get().change_status(PaymentStatus.CONFIRMED)
    assert f"Order {order.pk} is paid already" in read(second)
    gate.open.set()
    read(first)
    assert gate.asked == 1
    assert Payment.objects.get().status == PaymentStatus.CONFIRMED


def test_of_two_who_find_a_payment_free_in_the_same_moment_one_asks(
    order: Order, lena: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    exists = QuerySet.exists

    def another_is_quicker(rows: QuerySet[Payment]) -> bool:
        found = exists(rows)
        if found:
            Payment.objects.filter(asking_since=None).update(asking_since=timezone.now())
        return found

    monkeypatch.setattr(paying, "PATIENCE", 0)
    monkeypatch.setattr(PaymentQuerySet, "exists", another_is_quicker)
    with (
        pytest.raises(Refused, match="is being asked already"),
        checkout.at_the_gateway(order, lena),
    ):
        pass


def test_while_the_gateway_is_asked_about_one_payment_it_can_be_about_others(
    order: Order, of_omar: Order, lena: User, omar: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paying, "PATIENCE", 0)
    other = checkout.open_payment(of_omar, omar)
    with checkout.at_the_gateway(order, lena), checkout.at_the_gateway(of_omar, omar) as asked:
        assert asked == other


def test_nobody_waits_longer_than_a_few_seconds_for_the_first_click(
    click: Clicks, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paying, "PATIENCE", 0.3)
    first = click()
    assert gate.reached.wait(LONG)
    assert "The gateway is being asked already and has not answered yet" in read(click())
    gate.open.set()
    assert "https://gateway.example/cs_1" in read(first)


def test_a_process_that_died_while_it_asked_holds_up_nobody_after_a_minute(
    click: Clicks, gate: Gate, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paying, "PATIENCE", 0.3)
    gate.open.set()
    payment = paying.open_payment(order, order.customer)
    for ago, told in ((50, "has not answered yet"), (61, "https://gateway.example/cs_1")):
        since = timezone.now() - timedelta(seconds=ago)
        Payment.objects.filter(pk=payment.pk).update(asking_since=since)
        assert told in read(click())


def test_who_takes_over_from_a_process_that_hung_is_not_cut_short_by_its_end(
    order: Order, lena: User
) -> None:
    later = timezone.now() + timedelta(minutes=1)
    with checkout.at_the_gateway(order, lena):
        Payment.objects.update(asking_since=later)
    assert Payment.objects.get().asking_since == later


def test_no_transaction_is_open_while_the_gateway_works(click: Clicks, gate: Gate) -> None:
    gate.open.set()
    read(click())
    assert gate.asked == 1
    assert not gate.in_transaction
