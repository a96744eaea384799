"""Whoever turns on a second factor is not let in by the password alone."""

from __future__ import annotations

import base64
import re
import time

import pytest
from allauth.mfa.models import Authenticator
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.core import mail
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client

from panel.models import User
from tests.cast import PASSWORD, UserFactory

ACTIVATE = "/account/second-factor/totp/activate/"
Codes = list[str]


@pytest.fixture(autouse=True)
def moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No code runs out between the telephone and the panel."""
    now = time.time() // 30 * 30 + 31
    monkeypatch.setattr(time, "time", lambda: now)


def code(secret: str, at: float | None = None) -> str:
    """What the telephone shows (RFC 6238)."""
    shown = TOTP(base64.b32decode(secret), 6, SHA1(), 30)
    return shown.generate(int(at or time.time())).decode()


def sign_in(**more: str) -> tuple[Client, HttpResponse]:
    """Lena gives her password, and then a code, if there is one."""
    browser = Client()
    answer = browser.post("/account/login/", {"login": "lena", "password": PASSWORD})
    if more:
        answer = browser.post("/account/second-factor/authenticate/", more)
    return browser, answer  # type: ignore[return-value]


def is_in(browser: Client) -> bool:
    return browser.get("/").status_code == 200


@pytest.fixture
def secret(lena: User) -> str:
    """Lena has turned it on, with the secret that her telephone keeps."""
    return turn_on(sign_in()[0])


def turn_on(browser: Client) -> str:
    """Lena turns it on: the secret that her telephone keeps."""
    asked = browser.get(ACTIVATE)["Location"]
    assert browser.post(asked, {"password": PASSWORD})["Location"] == ACTIVATE
    page = browser.get(ACTIVATE).content.decode()
    assert "data:image/svg+xml;base64," in page
    # On the telephone itself it is copied: it must neither be cut off nor disabled.
    found = re.search(
        r'<textarea id="authenticator_secret"[^>]*\sreadonly\s*>([A-Z2-7]+)</textarea>', page
    )
    assert found
    answer = browser.post(ACTIVATE, {"code": code(found[1])})
    assert answer.status_code == 302
    return found[1]


def recovery_codes(user: User) -> Codes:
    row = Authenticator.objects.get(user=user, type=Authenticator.Type.RECOVERY_CODES)
    codes: Codes = row.wrap().get_unused_codes()
    return codes


def test_the_password_alone_opens_the_second_door_only(secret: str) -> None:
    browser, answer = sign_in()
    assert answer["Location"] == "/account/second-factor/authenticate/"
    assert not is_in(browser)


def test_the_password_and_the_code_of_now_let_in(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: later)
    browser, _ = sign_in(code=code(secret, later))
    assert is_in(browser)


def test_no_code_lets_in_twice(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.time() // 30 * 30 + 60
    monkeypatch.setattr(time, "time", lambda: later)
    shown = code(secret, later)
    assert is_in(sign_in(code=shown)[0])
    assert not is_in(sign_in(code=shown)[0])
    later += 31
    cache.clear()  # allauth forgets after 30 s that it was used
    assert not is_in(sign_in(code=shown)[0])


def test_a_recovery_code_lets_in_once(secret: str, lena: User) -> None:
    first, *others = recovery_codes(lena)
    assert is_in(sign_in(code=first)[0])
    assert not is_in(sign_in(code=first)[0])
    assert recovery_codes(lena) == others


@pytest.mark.django_db(transaction=True)
def test_turning_it_on_signs_out_everywhere_else_and_is_told_by_mail(
    lena: User, omar: User
) -> None:
    elsewhere, (here, _) = sign_in()[0], sign_in()
    other = Client()
    other.force_login(omar)
    turn_on(here)
    assert is_in(here)
    assert is_in(other)
    assert not is_in(elsewhere)
    [letter] = mail.outbox
    assert letter.to == [lena.email]
    assert letter.subject == "Berth: your second factor is on"
    assert "Wherever else you were signed in, you are signed out." in letter.body


def test_codes_cannot_be_guessed_for_long(secret: str, lena: User) -> None:
    for _ in range(6):
        browser, _ = sign_in(code="000000")
        assert not is_in(browser)
    _, answer = sign_in(code=recovery_codes(lena)[0])
    assert "Too many failed login attempts" in answer.content.decode()


def test_nobody_turns_it_off_in_a_browser_that_was_left_alone(
    secret: str, lena: User, as_lena: Client
) -> None:
    answer = as_lena.post("/account/second-factor/totp/deactivate/")
    assert answer.status_code == 302
    assert "/reauthenticate/" in answer["Location"]
    assert Authenticator.objects.filter(user=lena).exists()


def test_a_superuser_takes_it_off_from_whoever_has_lost_it_and_never_sees_it(
    secret: str, lena: User
) -> None:
    root = Client()
    root.force_login(User.objects.create_superuser("root"))
    for row in Authenticator.objects.filter(user=lena):
        page = root.get(f"/admin/mfa/authenticator/{row.pk}/change/").content.decode()
        assert "Lena Fischer" in page
        assert secret not in page
        assert not any(value in page for value in row.data.values() if isinstance(value, str))
    row = Authenticator.objects.get(user=lena, type=Authenticator.Type.TOTP)
    root.post(f"/admin/mfa/authenticator/{row.pk}/delete/", {"post": "yes"})
    browser, _ = sign_in()
    assert is_in(browser)


@pytest.mark.parametrize("way", ["its page", "the list"])
def test_the_codes_go_with_the_app_that_a_superuser_takes_off(
    way: str, secret: str, lena: User
) -> None:
    other = Authenticator.objects.create(
        user=UserFactory.create(), type=Authenticator.Type.RECOVERY_CODES, data={}
    )
    root = Client()
    root.force_login(User.objects.create_superuser("root"))
    row = Authenticator.objects.get(user=lena, type=Authenticator.Type.TOTP)
    place = "/admin/mfa/authenticator/"
    if way == "its page":
        root.post(f"{place}{row.pk}/delete/", {"post": "yes"})
    else:
        ticked = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
        root.post(place, ticked)
    assert list(Authenticator.objects.all()) == [other]


def test_codes_alone_can_be_taken_off(secret: str, lena: User) -> None:
    root = Client()
    root.force_login(User.objects.create_superuser("root"))
    row = Authenticator.objects.get(user=lena, type=Authenticator.Type.RECOVERY_CODES)
    root.post(f"/admin/mfa/authenticator/{row.pk}/delete/", {"post": "yes"})
    assert [left.type for left in Authenticator.objects.all()] == [Authenticator.Type.TOTP]
