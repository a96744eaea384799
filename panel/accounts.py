"""How people sign in: accounts are made by staff, so the sign-up pages are closed."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.auth_backends import AuthenticationBackend
from allauth.account.forms import LoginForm
from allauth.account.internal.userkit import filter_users_by_email, get_user_by_username
from allauth.account.views import LoginView
from allauth.core.exceptions import ImmediateHttpResponse
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest
from django.shortcuts import redirect
from django.urls import reverse

from panel.composed import Reader
from panel.models import User

logger = logging.getLogger(__name__)

OWN_ADDRESSES = "account_email"
NOT_SENT = "The mail could not be sent. Try again later; if it fails again, tell your provider."
# Everybody may know it: the demo listens on loopback only.
DEMO_PASSWORD = "berth-demo"  # noqa: S105


class AccountAdapter(DefaultAccountAdapter):
    """Nobody signs up; and nothing goes by the Host header, in which everybody may write what
    they like: neither the addresses in mails nor the count of failures."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def is_safe_url(self, url: str) -> bool:
        try:
            return bool(super().is_safe_url(url))
        except ValueError:  # no address at all
            return False

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Where no mail server takes it, only whoever looks after their own addresses is told:
        anybody else would learn for which address a mail is sent."""
        site = {"name": "Berth", "domain": settings.URL.geturl()}
        try:
            super().send_mail(template_prefix, email, {**context, "current_site": site})
        except OSError as error:
            logger.error("a mail could not be sent: %r", error)
            if self.request.path == reverse(OWN_ADDRESSES):
                messages.error(self.request, NOT_SENT)
                raise ImmediateHttpResponse(redirect(OWN_ADDRESSES)) from error

    def get_reset_password_from_key_url(self, key: str) -> str:
        return at_home(super().get_reset_password_from_key_url(key))

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        return at_home(super().get_email_confirmation_url(request, emailconfirmation))

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """One for each account, by whichever of its names somebody tries it; texts that nobody is
        called by are counted as they are, for whoever guesses not to see the difference."""
        typed = [str(credentials[by]) for by in ("email", "username") if credentials.get(by)]
        meant = [person.pk for text in typed for person in _called(text)]
        return f"account {min(meant)}" if meant else f"text {''.join(typed[:1]).lower()}"


class Backend(AuthenticationBackend):
    """Knows people by user name and e-mail address, and at every request by their session: who
    that is, is read without composing the same query again and again."""

    def get_user(self, user_id: int) -> User | None:
        for (person,) in _people().read(_by_key(), [user_id]):
            return person if self.user_can_authenticate(person) else None
        return None


def _called(name: str) -> list[User]:
    """Whom the sign-in page takes this for: those of this address, and of this user name."""
    by_name = get_user_by_username(name)
    return [
        *filter_users_by_email(name, prefer_verified=True, for_login=True),
        *filter(None, [by_name]),
    ]


@cache
def _people() -> Reader:
    return Reader(User)


@cache
def _by_key() -> str:
    return f"SELECT {_people().columns} FROM {User._meta.db_table} WHERE id = %s"  # noqa: S608


def at_home(address: str) -> str:
    """A whole address of the panel, below the one that the settings name."""
    return (
        urlsplit(address)._replace(scheme=settings.URL.scheme, netloc=settings.URL.netloc).geturl()
    )


class SignInForm(LoginForm):
    """Says what may be typed into its first field."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = "User name or e-mail"


class SignIn(LoginView):
    """The sign-in page. Where the demo made its people, it names them and their password."""

    form_class = SignInForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), "demo_people": demo_people()}


def demo_people() -> list[dict[str, str]]:
    """The people of the demo as the sign-in page shows them: username, role, password. Nobody
    where the panel is reached through https: a demo is not meant to be."""
    if settings.HTTPS:
        return []
    return [
        {"username": user.username, "role": user.role_label, "password": DEMO_PASSWORD}
        for user in User.objects.of_demo().order_by("pk")
    ]
