"""`manage.py check` says in one sentence why a gateway cannot take money."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from payments.core import BasicProvider
from pytest_django import Settings

STRIPE = "orders.stripe.StripeGateway"
KEYS = {"api_key": "sk_test_1", "endpoint_secret": "whsec_1"}
DUMMY = ["payments.dummy.DummyProvider", {}]


class ByOneAddress(BasicProvider):
    """A gateway that reports all payments to the address of its variant."""

    def get_token_from_request(self, payment: Any, request: Any) -> str:
        return ""


def said(settings: Settings, **variants: Any) -> list[str]:
    settings.PAYMENT_VARIANTS = variants
    return [str(message.msg) for message in run_checks() if message.id == "berth.E001"]


def test_of_gateways_that_can_be_made_nothing_is_said(settings: Settings) -> None:
    assert not said(settings, dummy=DUMMY, card=[STRIPE, KEYS])


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (["orders.strip.StripeGateway", KEYS], "No module named 'orders.strip'"),
        ([STRIPE, {}], "missing 2 required positional arguments"),
        ([STRIPE, KEYS | {"secure_endpoint": False}], "unexpected keyword argument"),
        ([STRIPE, KEYS | {"endpoint_secret": ""}], "must not be empty"),
        (["payments.stripe.StripeProviderV3", KEYS], f"name {STRIPE} in its place"),
        ([STRIPE], "not enough values to unpack"),
        ("payments.dummy.DummyProvider", "too many values to unpack"),
    ],
)
def test_one_that_cannot_be_made_is_named_with_the_reason(
    settings: Settings, told: Any, why: str
) -> None:
    [message] = said(settings, dummy=DUMMY, card=told)
    assert "“card” of BERTH_PAYMENT_VARIANTS does not work" in message
    assert why in message


def test_one_whose_library_is_not_installed_stops_check(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("orders.stripe", "payments.stripe", "payments.stripe.providers"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "stripe", None)
    settings.PAYMENT_VARIANTS = {"card": [STRIPE, KEYS]}
    with pytest.raises(SystemCheckError, match=r"“card” of BERTH_PAYMENT_VARIANTS .* stripe"):
        call_command("check")


def test_a_name_that_is_no_address_is_said_where_the_gateway_reports_to_one(
    settings: Settings,
) -> None:
    one = [f"{__name__}.ByOneAddress", {}]
    [message] = said(settings, card_1=one, card=one, dummy_1=DUMMY)
    assert "“card_1”" in message
    assert "lower case" in message


def test_stripe_is_refused_for_a_currency_that_it_would_charge_wrongly(settings: Settings) -> None:
    settings.CURRENCY = "KWD"
    assert not said(settings, dummy=DUMMY)
    [message] = said(settings, card=[STRIPE, KEYS])
    assert "“card”" in message
    assert "KWD" in message


def test_no_gateway_at_all_is_said(settings: Settings) -> None:
    assert said(settings) == ["BERTH_PAYMENT_VARIANTS names no gateway: nobody can pay."]


def test_a_key_is_not_in_what_is_said(settings: Settings) -> None:
    [message] = said(settings, card=[STRIPE, {"api_key": "sk_live_secret", "pin": "1234"}])
    assert "sk_live_secret" not in message
    assert "1234" not in message
