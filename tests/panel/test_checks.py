"""`manage.py check --deploy` warns of what must not be so where the panel is used in earnest."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from tests.cast import UserFactory

OURS = {"berth.W001", "berth.W002", "berth.W003"}
KEYS = {"api_key": "sk_live_1", "endpoint_secret": "whsec_1"}
REAL = {"card": ["orders.stripe.StripeGateway", KEYS]}
DUMMY = {"dummy": ["payments.dummy.DummyProvider", {}]}


def warnings() -> set[str]:
    return {str(message.id) for message in run_checks(include_deployment_checks=True)} & OURS


@pytest.fixture
def in_earnest(db: None, settings: Settings) -> Settings:
    settings.HTTPS = True
    settings.PAYMENT_VARIANTS = REAL
    settings.PROXIES = 1
    return settings


def test_there_is_nothing_to_warn_of(in_earnest: Settings) -> None:
    UserFactory.create()
    assert not warnings()


def test_demo_people_are_warned_of(in_earnest: Settings) -> None:
    UserFactory.create(is_demo=True)
    assert warnings() == {"berth.W001"}


def test_demo_people_who_cannot_sign_in_any_more_are_not(in_earnest: Settings) -> None:
    UserFactory.create(is_demo=True, is_active=False)
    assert not warnings()


def test_a_gateway_that_charges_nobody_is_warned_of(in_earnest: Settings) -> None:
    in_earnest.PAYMENT_VARIANTS = REAL | DUMMY
    assert warnings() == {"berth.W002"}


def test_on_loopback_neither_is_wrong(in_earnest: Settings) -> None:
    UserFactory.create(is_demo=True)
    in_earnest.PAYMENT_VARIANTS = DUMMY
    in_earnest.HTTPS = False
    assert not warnings()


def test_a_proxy_that_is_not_named_is_warned_of(in_earnest: Settings) -> None:
    in_earnest.PROXIES = 0
    assert warnings() == {"berth.W003"}
