"""System checks: `manage.py check --deploy` warns of what must not be so in production."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.db import Error

from panel.models import User

DUMMY = "payments.dummy.DummyProvider"


def demo_people(**_: Any) -> list[CheckMessage]:
    """berth.W001: people whose password everybody knows."""
    try:
        found = settings.HTTPS and User.objects.of_demo().exists()
    except Error:
        return []
    return _warn(
        found,
        "berth.W001",
        f"Demo people can sign in at {settings.URL.geturl()}: everybody knows their password.",
        "Deactivate them in the Django admin, or begin with an empty BERTH_DATA.",
    )


def dummy_gateway(**_: Any) -> list[CheckMessage]:
    """berth.W002: orders count as paid although nobody was charged."""
    providers = [provider for provider, _ in dict(settings.PAYMENT_VARIANTS).values()]
    return _warn(
        settings.HTTPS and DUMMY in providers,
        "berth.W002",
        "Orders can be paid through the dummy gateway, which charges nobody.",
        "Name a real gateway in BERTH_PAYMENT_VARIANTS.",
    )


def proxy(**_: Any) -> list[CheckMessage]:
    """berth.W003: behind a proxy that is not named, all people have the same address."""
    return _warn(
        settings.HTTPS and not settings.PROXIES,
        "berth.W003",
        "BERTH_PROXIES is 0: behind a proxy, whoever fails to sign in too often shuts the door "
        "for everybody.",
        "Say how many proxies stand in front of the panel; silence this check where gunicorn "
        "itself speaks https.",
    )


def _warn(is_so: bool, number: str, problem: str, hint: str) -> list[CheckMessage]:
    return [Warning(problem, hint=hint, id=number)] if is_so else []
