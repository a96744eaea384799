"""How people sign in: accounts are made by staff, so the sign-up pages are closed."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.auth_backends import AuthenticationBackend
from allauth.account.forms import AddEmailForm, LoginForm, ResetPasswordForm
from allauth.account.internal.userkit import get_user_by_username
from allauth.account.models import EmailAddress
from allauth.account.views import EmailView, LoginView, LogoutView
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.internal import ratelimit
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.generic import FormView

from panel.http import is_ours
from panel.mail import send_behind
from panel.models import User

logger = logging.getLogger(__name__)

OWN_ADDRESSES = "account_email"
NOT_FOR_THIS_ACCOUNT = "This address cannot be had for this account."
NOT_SENT = "The mail could not be sent. Try again later; if it fails again, tell your provider."
# Everybody may know it: the demo listens on loopback only.
DEMO_PASSWORD = "berth-demo"  # noqa: S105


class AccountAdapter(DefaultAccountAdapter):
    """Nobody signs up. Neither the links in mails nor the count of failed tries depend on the Host
    header, which everybody can set."""

    _login_failed_rl_usage: ratelimit.RateLimitUsage

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def is_safe_url(self, url: str) -> bool:
        """Whether it leads to the host that the browser is on; other host names of the panel do
        not count."""
        return is_ours(self.request, url)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Only a person who confirms an address of their own waits for the mail, and is told if it
        cannot be sent. Anybody else would learn, from the time that the answer takes, for which
        address there is an account."""
        site = {"domain": at_home("")}
        send = partial(super().send_mail, template_prefix, email, {**context, "current_site": site})
        if "confirmation" not in template_prefix:
            send_behind(send)
            return
        try:
            send()
        except OSError as error:
            logger.error("a mail could not be sent: %r", error)
            messages.error(self.request, NOT_SENT)
            raise ImmediateHttpResponse(redirect(OWN_ADDRESSES)) from error

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """Refuse an address that another account is known by: its owner may have followed the link
        in a mail that somebody else had sent to it."""
        if is_anothers(email_address.email, email_address.user):
            messages.error(request, NOT_FOR_THIS_ACCOUNT)
            return False
        return bool(super().confirm_email(request, email_address))

    def get_reset_password_from_key_url(self, key: str) -> str:
        return at_home(super().get_reset_password_from_key_url(key))

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        return at_home(super().get_email_confirmation_url(request, emailconfirmation))

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """A failed try counts for every account that the typed name may mean."""
        used = []
        for key in _counted_on(credentials):
            super().pre_authenticate(request, counted_on=key)
            used += self._login_failed_rl_usage.usage
        self._login_failed_rl_usage = ratelimit.RateLimitUsage(used)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Of an address alone, as allauth asks for it after a reset, nothing is counted."""
        return str(credentials.get("counted_on", ""))


class Backend(AuthenticationBackend):
    """Knows people by user name and e-mail address. The person of a request's session, which every
    page asks for, was read with the session."""

    def get_user(self, user_id: int) -> User | None:
        known = getattr(getattr(context.request, "session", None), "person", None)
        if not isinstance(known, User) or known.pk != user_id:
            known = User.objects.filter(pk=user_id).first()
        return known if known and self.user_can_authenticate(known) else None

    def _authenticate(self, request: HttpRequest | None, **credentials: Any) -> User | None:
        """Tries the password once on each account that may be meant, also where its user name and
        its address both mean it. Where there is none, allauth spends the time of one try: a second
        one would tell who has an account."""
        tried = (
            self._check_password(person, credentials["password"]) for person in _meant(credentials)
        )
        return next(filter(None, tried), None)


def known_by(address: str) -> list[User]:
    """The accounts that an e-mail address stands for: those that have it in their row, and the one
    that has confirmed it."""
    verified = EmailAddress.objects.filter(email=address.lower(), verified=True)
    known = Q(email__iexact=address) | Q(pk__in=verified.values("user"))
    return list(User.objects.filter(known).order_by("pk"))


def is_anothers(name: str, person: User) -> bool:
    """Whether another account is known by this address or user name."""
    return any(known.pk != person.pk for known in _called(name))


def _counted_on(credentials: dict[str, Any]) -> list[str]:
    """The keys that a try to sign in is counted under: one for each account that the typed name may
    mean, so that its user name and its addresses count together. A name that means nobody is
    counted as well: otherwise a guess would show whether the account exists."""
    people = sorted(_meant(credentials), key=lambda person: person.pk)
    unknown = f"text {''.join(_typed(credentials)[:1]).lower()}"
    return [_key_of(person) for person in people] or [unknown]


def _key_of(person: User) -> str:
    return f"account {person.pk}"


def forget_failures(*, request: HttpRequest, user: User, **_: Any) -> None:
    """Whoever has chosen a new password by mail is not held up by tries with the old one. Allauth
    goes by the address, which may be another's as well."""
    ratelimit.clear(request, app="allauth.account", action="login_failed", key=_key_of(user))


def _meant(credentials: dict[str, Any]) -> list[User]:
    """The accounts that may be meant by what was typed, each once."""
    return list(dict.fromkeys(person for name in _typed(credentials) for person in _called(name)))


def _typed(credentials: dict[str, Any]) -> list[str]:
    return [str(credentials[by]) for by in ("email", "username") if credentials.get(by)]


def _called(name: str) -> list[User]:
    """The accounts that the sign-in page takes this for: by address, and by user name."""
    return [*known_by(name), *filter(None, [get_user_by_username(name)])]


def at_home(address: str) -> str:
    """A whole address of the panel, below the one that the settings name."""
    return (
        urlsplit(address)._replace(scheme=settings.URL.scheme, netloc=settings.URL.netloc).geturl()
    )


class AddAddressForm(AddEmailForm):
    """Takes no address that another account is known by. The message says neither why nor whose it
    is."""

    def clean_email(self) -> str:
        address = super().clean_email()
        if is_anothers(address, self.user):
            raise ValidationError(NOT_FOR_THIS_ACCOUNT)
        return str(address)


class ForgottenPasswordForm(ResetPasswordForm):
    """Resets the passwords of the accounts that an address stands for, and of no other: an address
    that was added and never confirmed may be anybody's."""

    def clean_email(self) -> str:
        address = super().clean_email()
        self.users = [person for person in known_by(address) if person.is_active]
        return str(address)


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


class Addresses(EmailView):
    """The addresses of an account. One that was never confirmed may have become another's."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Before anything is changed, mark the address in use as the primary one where none is
        marked, as in an account that staff have made: allauth would make any address primary that
        is confirmed next, or that is left when another is removed."""
        if request.method != "POST":
            # Without allauth's own, which adds a row whenever somebody looks.
            return FormView.dispatch(self, request, *args, **kwargs)
        person: Any = request.user
        marked = EmailAddress.objects.filter(user=person.pk, primary=True)
        if person.email and not marked.exists():
            EmailAddress.objects.update_or_create(
                user=person, email=person.email.lower(), defaults={"primary": True}
            )
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Shows the address in use also where there is no row of it yet."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        used, radios = self.request.user.email, context["emailaddress_radios"]
        if used and used.lower() not in [radio["emailaddress"].email for radio in radios]:
            unsaved = EmailAddress(email=used)
            radios.insert(0, {"id": "email_radio", "checked": True, "emailaddress": unsaved})
        return context

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        address = request.POST.get("email", "")
        if "action_primary" in request.POST and is_anothers(address, self.request.user):
            messages.error(request, NOT_FOR_THIS_ACCOUNT)
            return redirect(OWN_ADDRESSES)
        answer: HttpResponse = super().post(request, *args, **kwargs)
        return answer


class SignOut(LogoutView):
    """Signs out, and has the browser let go of what it has kept of the panel."""

    def post(self, *args: Any, **kwargs: Any) -> HttpResponse:
        answer: HttpResponse = super().post(*args, **kwargs)
        answer["Clear-Site-Data"] = '"cache"'
        return answer


def demo_people() -> list[dict[str, str]]:
    """The people of the demo as the sign-in page shows them: username, role, password. Nobody
    where the panel is reached through https: a demo is not meant to be."""
    if settings.HTTPS:
        return []
    return [
        {"username": user.username, "role": user.role_label, "password": DEMO_PASSWORD}
        for user in User.objects.of_demo().order_by("pk")
    ]
