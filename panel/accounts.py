"""How people sign in: accounts are made by staff, so the sign-up pages are closed."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.views import LoginView
from django.conf import settings
from django.http import HttpRequest

from panel.models import User

# Everybody may know it: the demo listens on loopback only.
DEMO_PASSWORD = "berth-demo"  # noqa: S105


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False


class SignIn(LoginView):
    """The sign-in page. Where the demo made its people, it names them and their password."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), "demo_people": demo_people()}


def demo_people() -> list[dict[str, str]]:
    """The people of the demo as the sign-in page shows them: username, role, password. Nobody
    where the panel is reached through https: a demo is not meant to be."""
    if settings.HTTPS:
        return []
    return [
        {"username": user.username, "role": user.role_label, "password": DEMO_PASSWORD}
        for user in User.objects.filter(is_demo=True, is_active=True).order_by("pk")
    ]
