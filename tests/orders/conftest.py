"""What the tests of orders share: an order of Lena's, and the ways to pay it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from payments import PaymentStatus

from containers.models import Node, Operation
from orders import checkout
from orders.models import Order, Payment, Plan, System
from panel.models import User
from tests.conftest import Worker
from tests.containers.acts import ask_and_wait

Pay = Callable[[Order], Payment]


def fresh(order: Order) -> Order:
    return Order.objects.get(pk=order.pk)


def creations(order: Order) -> list[Operation]:
    return list(order.container.operations.filter(kind="create"))


@pytest.fixture
def order(lena: User, plan: Plan, system: System) -> Order:
    """Lena's order of web-01, not paid yet."""
    return checkout.place_order(customer=lena, by=lena, plan=plan, system=system, name="web-01")


@pytest.fixture
def of_omar(omar: User, plan: Plan, system: System) -> Order:
    """Another order, of another customer."""
    return checkout.place_order(customer=omar, by=omar, plan=plan, system=system, name="web-01")


@pytest.fixture
def created_unpaid(order: Order, ada: User, node: Node, worker: Worker) -> Order:
    """Lena's order, still not paid; an administrator has created its container all the same."""
    ask_and_wait(order.container, "create", worker, by=ada)
    return Order.objects.get()


@pytest.fixture
def destroyed_unpaid(created_unpaid: Order, ada: User, worker: Worker) -> Order:
    """The same, after its container was destroyed. Its payment was begun before."""
    checkout.open_payment(created_unpaid, created_unpaid.customer)
    ask_and_wait(created_unpaid.container, "destroy", worker, by=ada)
    return Order.objects.get()


@pytest.fixture
def filled_in(plan: Plan, system: System, node: Node) -> dict[str, Any]:
    """What a browser sends for web-01, with the token of one form."""
    return {
        "plan": plan.pk,
        "system": system.pk,
        "name": "web-01",
        "ssh_key": "",
        "token": "9b2f3c52-6a6f-4e9c-8f1e-1f3f0f1d7a10",
    }


@pytest.fixture
def pay() -> Pay:
    """`pay(order)`: the gateway confirms a payment by the customer."""

    def confirmed(order: Order) -> Payment:
        payment = checkout.open_payment(order, order.customer)
        payment.change_status(PaymentStatus.CONFIRMED)
        order.refresh_from_db()
        return payment

    return confirmed


# For how many seconds a test waits for what another thread does.
LONG = 60


class Clicks:
    """`click()` sends the form of the pay page, in a thread of its own."""

    def __init__(self, threads: ThreadPoolExecutor, new: Callable[[], Client], url: str) -> None:
        self._threads, self._new, self._url = threads, new, url

    def __call__(self, **sent: str) -> Future[HttpResponse]:
        browser = self._new()
        return self._threads.submit(self._post, browser, sent)

    def _post(self, browser: Client, sent: dict[str, str]) -> Any:
        try:
            return browser.post(self._url, sent or {"begin": "yes"}, follow=True)
        finally:
            connection.close()


@pytest.fixture
def click(order: Order, lena: User, client_of: Callable[[User], Client]) -> Iterator[Clicks]:
    """For tests whose transactions other threads can see."""
    with ThreadPoolExecutor(2) as threads:
        yield Clicks(threads, lambda: client_of(lena), f"/orders/{order.pk}/pay/")


def read(answer: Future[HttpResponse]) -> str:
    """The page that a click has led to."""
    return answer.result(LONG).content.decode()


def errors(client: Client, data: dict[str, Any]) -> Any:
    """What the order form has against it."""
    response = client.post("/orders/new/", data)
    assert response.status_code == 422
    return response.context["form"].errors
