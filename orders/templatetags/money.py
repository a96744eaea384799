"""Amounts of money as people write them."""

from __future__ import annotations

from decimal import Decimal

from django import template
from django.conf import settings

from orders.currencies import WHOLE

register = template.Library()

SIGNS = {"EUR": "€", "USD": "$", "GBP": "£"}


@register.filter
def money(amount: Decimal, currency: str = "") -> str:
    """ "€1,250.00"; a currency without a sign of its own stands in front: "CHF 9.00", and one
    without decimals shows none: "JPY 900".

    Without `currency` it is the one that the panel sells in.
    """
    currency = currency or settings.CURRENCY
    # What it cannot be paid in is shown all the same, to be put right.
    decimals = 0 if currency in WHOLE and not amount % 1 else 2
    return f"{SIGNS.get(currency, f'{currency} ')}{amount:,.{decimals}f}"
