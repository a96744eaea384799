"""Where the panel is, is said by the settings, not by whoever asks; and cookies stay here."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from django.core import mail
from django.test import Client
from pytest_django import Settings

from containers.models import Container
from panel.models import User
from tests.cast import PASSWORD
from tests.environment import read_settings

HOME = "https://panel.example.com"
ELSEWHERE = [
    "https://evil.example/",
    "//evil.example/",
    "///evil.example",
    "/\\evil.example/",
    "http:evil.example",
    "\thttps://evil.example",
    "javascript:alert(1)",
    "https://localhost@evil.example/",
    # The panel answers to these names as well, but it is not where the browser is.
    "http://localhost/",
    "http://127.0.0.1:9999/",
]


@pytest.fixture
def https(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """The panel as it is with an address of https, behind one proxy."""
    read = read_settings(monkeypatch, tmp_path, BERTH_URL=HOME, BERTH_PROXIES="1")
    for name, value in read.items():
        if name.startswith(("SECURE_", "SESSION_", "CSRF_", "ALLAUTH_")) or name in {
            "URL", "HTTPS", "ALLOWED_HOSTS",
        }:  # fmt: skip
            setattr(settings, name, value)
    return settings


@pytest.mark.parametrize("place", ["/", "/account/login/", "/healthz", "/admin/"])
def test_a_host_that_is_not_ours_is_refused(place: str, db: None) -> None:
    assert Client(headers={"host": "evil.example"}).get(place).status_code == 400


def test_a_mail_leads_to_the_panel_whatever_host_was_asked(lena: User, https: Settings) -> None:
    asking = Client(headers={"host": "localhost:8888"})
    asking.post("/account/password/reset/", {"email": lena.email}, secure=True)
    [letter] = mail.outbox
    assert f"{HOME}/account/password/reset/key/" in letter.body
    assert "localhost" not in letter.body


def test_nobody_has_mail_sent_to_strangers(db: None) -> None:
    Client().post("/account/password/reset/", {"email": "stranger@example.org"})
    assert not mail.outbox


def test_http_leads_to_https_at_the_panel(db: None, https: Settings) -> None:
    answer = Client(headers={"host": "localhost:8888"}).get("/orders/?page=2")
    assert answer.status_code == 301
    assert answer["Location"] == f"{HOME}/orders/?page=2"


def test_over_https_browsers_never_use_anything_else(lena: User, https: Settings) -> None:
    browser = Client(headers={"host": "panel.example.com", "referer": HOME})
    form = {"login": "lena", "password": PASSWORD}
    answer = browser.post("/account/login/", form, secure=True)
    # For the panel's own host alone: what else the provider has on its domain may speak http.
    assert answer["Strict-Transport-Security"] == "max-age=31536000"
    assert answer.cookies
    for name, cookie in answer.cookies.items():
        assert cookie["secure"], name
        assert cookie["httponly"], name
        assert cookie["samesite"] == "Lax", name


def test_the_headers_of_a_proxy_are_believed_only_where_one_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without = read_settings(monkeypatch, tmp_path, BERTH_URL=HOME, BERTH_PROXIES="0")
    assert "SECURE_PROXY_SSL_HEADER" not in without
    assert without["ALLAUTH_TRUSTED_PROXY_COUNT"] == 0
    behind = read_settings(monkeypatch, tmp_path, BERTH_URL=HOME, BERTH_PROXIES="1")
    assert behind["SECURE_PROXY_SSL_HEADER"] == ("HTTP_X_FORWARDED_PROTO", "https")
    assert behind["ALLAUTH_TRUSTED_PROXY_COUNT"] == 1


def test_what_is_kept_is_kept_from_other_users_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = tmp_path / "kept"
    monkeypatch.delenv("BERTH_SECRET_KEY", raising=False)
    read_settings(monkeypatch, data)
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert stat.S_IMODE((data / "secret-key").stat().st_mode) == 0o600


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_signing_in_leads_nowhere_else(wanted: str, lena: User) -> None:
    form = {"login": "lena", "password": PASSWORD, "next": wanted}
    assert Client().post("/account/login/", form)["Location"] == "/"


@pytest.mark.parametrize("wanted", [":", "orders", "orders:list", "a\0b", "http://[", "/\0"])
def test_signing_in_leads_somewhere_whatever_is_wanted(wanted: str, lena: User) -> None:
    form = {"login": "lena", "password": PASSWORD, "next": wanted}
    assert Client().post("/account/login/", form).status_code == 302


@pytest.mark.parametrize("wanted", [*ELSEWHERE, ":", "orders", "orders:list"])
def test_a_button_leads_nowhere_else(wanted: str, container: Container, as_lena: Client) -> None:
    place = f"/containers/{container.pk}/"
    answer = as_lena.post(f"{place}act/", {"action": "start", "next": wanted})
    assert answer["Location"] == place
    answer = as_lena.post("/containers/act/", {"next": wanted})
    assert answer["Location"] == "/containers/"


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_signing_out_leads_nowhere_else(wanted: str, as_lena: Client) -> None:
    answer = as_lena.post("/account/logout/", {"next": wanted})
    assert answer["Location"] == "/account/login/"
