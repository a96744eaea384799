"""The audit finds what is wrong: one that finds nothing in anything would prove nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.utils import timezone
from payments import PaymentStatus

from containers.drivers import Power
from containers.models import Container, Node, StatusChange
from containers.statuses import Status
from orders import checkout
from orders.models import Order, Payment, Plan, System
from panel.models import User
from tests.conftest import Worker
from tests.containers.acts import ask_and_wait
from tests.soak.audit import Findings, Truth, once_settled
from tests.soak.ledger import Ledger

pytestmark = pytest.mark.django_db


@pytest.fixture
def bought(lena: User, plan: Plan, system: System, node: Node, worker: Worker) -> Container:
    """Ordered, paid and created."""
    order = checkout.place_order(customer=lena, by=lena, plan=plan, system=system, name="web-01")
    checkout.open_payment(order, lena).change_status(PaymentStatus.CONFIRMED)
    worker.carry_out_all()
    return Container.objects.get()


def truth(bought: Container, power: Power | None = Power.STOPPED, also: str = "") -> Truth:
    there = {bought.instance_name: power} if power else {}
    return {str(bought.node): there} | ({also: there} if also else {})


def test_nothing_is_found_where_all_is_well(bought: Container) -> None:
    assert not once_settled(truth(bought))


def change(**values: object) -> Callable[[Container], object]:
    return lambda bought: Container.objects.filter(pk=bought.pk).update(**values)


@pytest.mark.parametrize(
    ("breaks", "where"),
    [
        (change(status=Status.RUNNING), "lost"),
        (change(status=Status.BOOTING), "stuck"),
        (change(status=Status.OFFLINE), "stuck"),
        (change(node=None), "duplicated"),
        (lambda bought: StatusChange.objects.order_by("pk")[1].delete(), "lost"),
        (lambda bought: Payment.objects.update(captured_amount=0), "duplicated"),
        (lambda bought: Payment.objects.update(status=PaymentStatus.WAITING), "lost"),
        (lambda bought: Order.objects.update(status=Order.Status.PAID), "stuck"),
        (lambda bought: Order.objects.update(status=Order.Status.CANCELLED), "duplicated"),
    ],
)
def test_a_row_that_does_not_fit_is_found(
    breaks: Callable[[Container], object], where: str, bought: Container
) -> None:
    seen = truth(bought)
    breaks(bought)
    assert getattr(once_settled(seen), where)


def test_money_taken_for_what_was_destroyed_before_is_found(
    bought: Container, ada: User, worker: Worker
) -> None:
    seen: Truth = {str(bought.node): {}}
    ask_and_wait(bought, "destroy", worker, by=ada)
    assert not once_settled(seen)
    Order.objects.update(paid_at=timezone.now())
    order = Order.objects.get()
    assert once_settled(seen).lost == [f"{order} was paid when its container was destroyed"]


@pytest.mark.parametrize(
    ("power", "also", "where"),
    [
        (Power.RUNNING, "", "lost"),
        (None, "", "lost"),
        (Power.STOPPED, "another", "duplicated"),
    ],
)
def test_a_node_that_says_something_else_is_found(
    power: Power | None, also: str, where: str, bought: Container
) -> None:
    assert getattr(once_settled(truth(bought, power, also)), where)


@pytest.mark.parametrize(
    ("answers", "finds"),
    [
        ([], Findings(duplicated=["one too many"])),
        ([True], Findings()),
        ([None], Findings()),
        ([True, None], Findings()),
        ([True, True], Findings(lost=["one too few"])),
        ([False], Findings(duplicated=["one too many"])),
    ],
)
def test_a_click_has_the_effect_that_people_were_told_of(
    answers: list[bool | None], finds: Findings, bought: Container, lena: User
) -> None:
    StatusChange.objects.create(
        container=bought, from_status=bought.status, to_status="booting", by=lena, because="Start"
    )
    ledger = Ledger()
    for accepted in answers:
        ledger.note(("start", bought.pk, lena.username), accepted=accepted)
    found = ledger.findings()
    assert (len(found.lost), len(found.duplicated)) == (len(finds.lost), len(finds.duplicated))
