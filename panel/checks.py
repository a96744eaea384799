"""What must not be so where the panel is used in earnest; `manage.py check --deploy` warns."""

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
    if not found:
        return []
    return [
        Warning(
            f"Demo people can sign in at {settings.URL.geturl()}: everybody knows their password.",
            hint="Deactivate them in the Django admin, or begin with an empty BERTH_DATA.",
            id="berth.W001",
        )
    ]


def dummy_gateway(**_: Any) -> list[CheckMessage]:
    """berth.W002: orders count as paid although nobody was charged."""
    providers = [provider for provider, _ in dict(settings.PAYMENT_VARIANTS).values()]
    if not settings.HTTPS or DUMMY not in providers:
        return []
    return [
        Warning(
            "Orders can be paid through the dummy gateway, which charges nobody.",
            hint="Name a real gateway in BERTH_PAYMENT_VARIANTS.",
            id="berth.W002",
        )
    ]


def proxy(**_: Any) -> list[CheckMessage]:
    """berth.W003: behind a proxy that is not named, all people have the same address."""
    if not settings.HTTPS or settings.PROXIES:
        return []
    return [
        Warning(
            "BERTH_PROXIES is 0: behind a proxy, whoever fails to sign in too often shuts the "
            "door for everybody.",
            hint="Say how many proxies stand in front of the panel; silence this check where "
            "gunicorn itself speaks https.",
            id="berth.W003",
        )
    ]
