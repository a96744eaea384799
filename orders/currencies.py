"""Amounts of money as people write them, and the currencies that are not counted in hundredths."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings

SIGNS = {"EUR": "€", "USD": "$", "GBP": "£"}

# As in ISO 4217; and the ariary, whose fifths nobody charges.
WHOLE = {
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "UGX", "VND",
    "VUV", "XAF", "XOF", "XPF",
}  # fmt: skip
IN_THOUSANDTHS = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}


def money(amount: Decimal, currency: str = "") -> str:
    """ "€1,250.00"; a currency without a sign of its own stands in front: "CHF 9.00", and one
    without decimals shows none: "JPY 900".

    Without `currency` it is the one that the panel sells in.
    """
    currency = currency or settings.CURRENCY
    # A price with decimals that its currency does not have is shown with them, to be put right.
    decimals = 0 if currency in WHOLE and not amount % 1 else 2
    return f"{SIGNS.get(currency, f'{currency} ')}{amount:,.{decimals}f}"
