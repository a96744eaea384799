"""What gateways report is counted: news, repetitions, and what was refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from payments import PaymentError, PaymentStatus, core
from payments.core import BasicProvider
from pytest_django import Settings

from containers.models import Node
from orders import checkout
from orders.models import NoticeCount, Order, Payment

pytestmark = pytest.mark.django_db

Report = Callable[..., Any]


class Reporting(BasicProvider):
    """A gateway that reports a payment by posting its status, and looks whether it is its own
    only when it is late for that."""

    def process_data(self, payment: Payment, request: HttpRequest) -> HttpResponse:
        payment.change_status(request.POST["status"])
        if "signature" not in request.POST:
            raise PaymentError("no signature", code=request.POST.get("code"))
        return HttpResponse("ok")


@pytest.fixture
def report(order: Order, node: Node, settings: Settings) -> Iterator[Report]:
    """`report("confirmed")`: the gateway says so of the payment of `order`; and signs it, if no
    `signature=None` says otherwise."""
    settings.PAYMENT_VARIANTS = {"reporting": (f"{__name__}.Reporting", {})}
    payment = checkout.open_payment(order, order.customer)

    def to_the_panel(status: str, **more: str | None) -> Any:
        sent = {"status": status, "signature": "good"} | more
        told = {name: value for name, value in sent.items() if value is not None}
        return Client().post(f"/payments/process/{payment.token}/", told)

    yield to_the_panel
    core.PROVIDER_CACHE.pop("reporting", None)


def counted() -> dict[str, int]:
    return dict(NoticeCount.objects.values_list("outcome", "count"))


def test_news_count_once_and_repetitions_apart(report: Report) -> None:
    for _ in range(3):
        assert report(PaymentStatus.CONFIRMED).status_code == 200
    assert counted() == {"accepted": 1, "duplicate": 2}


def test_what_is_refused_counts_as_refused(report: Report, client: Client) -> None:
    assert report(PaymentStatus.CONFIRMED, signature=None).status_code == 400
    unknown = "/payments/process/01234567-89ab-cdef-0123-456789abcdef/"
    assert client.post(unknown).status_code == 404
    assert counted() == {"refused": 2}


@pytest.mark.parametrize(
    ("code", "status"), [(None, 400), ("403", 403), ("card_declined", 400), ("200", 400)]
)
def test_a_notice_that_the_gateway_did_not_sign_is_refused_in_its_words_and_changes_nothing(
    report: Report, caplog: pytest.LogCaptureFixture, code: str | None, status: int
) -> None:
    assert report(PaymentStatus.CONFIRMED, signature=None, code=code).status_code == status
    payment = Payment.objects.get()
    assert (payment.status, payment.order.status) == (PaymentStatus.WAITING, Order.Status.UNPAID)
    said = [record for record in caplog.records if record.name == "orders.notices"]
    assert [(r.levelname, "no signature" in r.getMessage(), r.exc_info) for r in said] == [
        ("WARNING", True, None)
    ]


def test_a_notice_that_breaks_the_panel_counts_as_refused(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Reporting, "process_data", broken)
    with pytest.raises(ZeroDivisionError):
        report(PaymentStatus.CONFIRMED)
    assert counted() == {"refused": 1}


def test_a_payment_on_the_panels_own_page_is_no_notice(order: Order, node: Node) -> None:
    checkout.open_payment(order, order.customer).change_status(PaymentStatus.CONFIRMED)
    assert counted() == {}
