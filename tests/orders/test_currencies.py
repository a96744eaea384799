"""Amounts of money as people write them, in the currency in which they were asked for."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import Client
from pytest_django import Settings

from orders import checkout
from orders.currencies import money
from orders.models import Order, System


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        ("1250", "EUR", "€1,250.00"),
        ("4.9", "USD", "$4.90"),
        ("9", "CHF", "CHF 9.00"),
        ("1250", "JPY", "JPY 1,250"),
        ("1250.00", "ISK", "ISK 1,250"),
        # None of these has a price with decimals; where one was typed, nothing of it is hidden.
        ("1250.50", "JPY", "JPY 1,250.50"),
    ],
)
def test_an_amount_has_the_sign_and_the_decimals_of_its_currency(
    amount: str, currency: str, written: str
) -> None:
    assert money(Decimal(amount), currency) == written


@pytest.mark.django_db
def test_what_was_ordered_stays_in_the_currency_that_was_agreed_on(
    order: Order, system: System, as_lena: Client, as_sten: Client, settings: Settings
) -> None:
    settings.CURRENCY = "CHF"
    lena, plan = order.customer, order.plan
    new = checkout.place_order(customer=lena, by=lena, plan=plan, system=system, name="web-02")
    assert new.currency == "CHF"
    payment = checkout.open_payment(order, order.customer)
    assert payment.currency == "EUR"
    for browser, address in (
        (as_lena, order.get_absolute_url()),
        (as_lena, f"/orders/{order.pk}/pay/"),
        (as_sten, f"/admin/orders/order/{order.pk}/change/"),
        (as_sten, "/admin/orders/payment/"),
    ):
        page = browser.get(address).content.decode()
        assert "€4.90" in page, address
        assert "CHF 4.90" not in page, address
    for browser, address in ((as_lena, "/orders/"), (as_sten, "/admin/orders/order/")):
        page = browser.get(address).content.decode()
        assert "€4.90" in page, address
        assert "CHF 4.90" in page, address
