"""Amounts of money as people write them."""

from __future__ import annotations

from decimal import Decimal

from django import template
from django.conf import settings

register = template.Library()

SIGNS = {"EUR": "€", "USD": "$", "GBP": "£"}


@register.filter
def money(amount: Decimal, currency: str = "") -> str:
    """ "€1,250.00"; a currency without a sign of its own stands in front: "CHF 9.00".

    Without `currency` it is the one that the panel sells in.
    """
    currency = currency or settings.CURRENCY
    return f"{SIGNS.get(currency, f'{currency} ')}{amount:,.2f}"
