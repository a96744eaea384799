"""What gateways report is counted: news, repetitions, and what was refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from payments import PaymentStatus, core
from payments.core import BasicProvider
from pytest_django import Settings

from containers.models import Node
from orders import checkout
from orders.models import NoticeCount, Order, Payment

pytestmark = pytest.mark.django_db


class Reporting(BasicProvider):
    """A gateway that reports a payment by posting its status."""

    def process_data(self, payment: Payment, request: HttpRequest) -> HttpResponse:
        if request.POST["status"] == "forged":
            return HttpResponse(status=400)
        payment.change_status(request.POST["status"])
        return HttpResponse("ok")


@pytest.fixture
def report(order: Order, node: Node, settings: Settings) -> Iterator[Callable[[str], Any]]:
    """`report("confirmed")`: the gateway says so of the payment of `order`."""
    settings.PAYMENT_VARIANTS = {"reporting": (f"{__name__}.Reporting", {})}
    payment = checkout.open_payment(order, order.customer)

    def to_the_panel(status: str) -> Any:
        return Client().post(f"/payments/process/{payment.token}/", {"status": status})

    yield to_the_panel
    core.PROVIDER_CACHE.pop("reporting", None)


def counted() -> dict[str, int]:
    return dict(NoticeCount.objects.values_list("outcome", "count"))


def test_news_count_once_and_repetitions_apart(report: Callable[[str], Any]) -> None:
    for _ in range(3):
        assert report(PaymentStatus.CONFIRMED).status_code == 200
    assert counted() == {"accepted": 1, "duplicate": 2}


def test_what_is_refused_counts_as_refused(report: Callable[[str], Any], client: Client) -> None:
    assert report("forged").status_code == 400
    unknown = "/payments/process/01234567-89ab-cdef-0123-456789abcdef/"
    assert client.post(unknown).status_code == 404
    assert counted() == {"refused": 2}


def test_a_notice_that_breaks_the_panel_counts_as_refused(
    report: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
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
