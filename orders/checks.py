"""System checks: `manage.py check` says what would keep customers from paying."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.utils.module_loading import import_string
from payments.core import BasicProvider

from orders.currencies import IN_THOUSANDTHS

STRIPE = "orders.stripe.StripeGateway"
# As the addresses of django-payments take the name of a variant.
NAME = re.compile("[a-z-]+")


def gateways(**_: Any) -> list[CheckMessage]:
    """berth.E001: a gateway of the settings cannot be asked for anything."""
    variants = dict(settings.PAYMENT_VARIANTS)
    problems = [
        f"“{name}” of BERTH_PAYMENT_VARIANTS does not work: {problem}."
        for name, told in variants.items()
        if (problem := _problem(name, told))
    ]
    if not variants:
        problems = ["BERTH_PAYMENT_VARIANTS names no gateway: nobody can pay."]
    hint = "docs/operate.md has a gateway that works, and what to install for it."
    return [Error(problem, hint=hint, id="berth.E001") for problem in problems]


def _problem(name: str, told: Any) -> str:
    """Why its provider cannot be made, or would not hear what is reported; "" if all is well."""
    try:
        path, options = told
        provider = import_string(path)(**options)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if type(provider).__module__.startswith("payments.stripe"):
        return f"it does not go with today's library of Stripe; name {STRIPE} in its place"
    if path == STRIPE and settings.CURRENCY in IN_THOUSANDTHS:
        return f"it would charge a tenth of each price, as {settings.CURRENCY} has three decimals"
    reports_by_name = (
        type(provider).get_token_from_request is not BasicProvider.get_token_from_request
    )
    if reports_by_name and not NAME.fullmatch(name):
        return "its reports would not arrive; a name is made of lower case letters and hyphens"
    return ""
