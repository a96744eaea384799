"""The pages about an account: that none is a dead end, and that they speak as the menu does."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings as django_settings
from django.core.mail import EmailMessage
from django.forms import model_to_dict
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from panel.accounts import NOT_SENT, Backend
from panel.models import User
from tests.cast import PASSWORD
from tests.environment import read_settings
from tests.incus_node import free_port

pytestmark = pytest.mark.django_db


def heading(page: str) -> str:
    [found] = re.findall(r"<h1>([^<]+)</h1>", page)
    return str(found)


@pytest.mark.parametrize(
    "page", ["password/reset/", "password/reset/done/", "password/reset/key/done/",
             "password/reset/key/x-y/", "signup/", "inactive/", "confirm-email/",
             "confirm-email/x/"]
)  # fmt: skip
def test_every_page_before_the_door_leads_on(page: str, client: Client) -> None:
    text = client.get(f"/account/{page}").content.decode()
    leads = {"password/reset/key/x-y/": "reset", "confirm-email/x/": "email"}.get(page, "login")
    assert re.search(rf'<main.*href="/account/[a-z/]*{leads}/".*</main>', text, re.DOTALL)


def test_whoever_would_sign_up_is_told_who_makes_accounts(client: Client) -> None:
    text = client.get("/account/signup/").content.decode()
    assert "Your provider makes the accounts." in text
    assert "currently" not in text


@pytest.mark.parametrize(
    ("page", "item"),
    [("email", "Account"), ("password/change", "Password"), ("second-factor", "Second factor")],
)
def test_a_page_is_called_what_the_menu_calls_it(page: str, item: str, as_lena: Client) -> None:
    text = as_lena.get(f"/account/{page}/").content.decode()
    assert heading(text) == item
    assert re.search(rf'class="item"\s+href="/account/{page}/"[^>]*>.*?{item}</a>', text, re.DOTALL)


def test_labels_are_written_like_those_of_the_panel(client: Client, as_lena: Client) -> None:
    assert "User name or e-mail" in client.get("/account/login/").content.decode()
    page = as_lena.get("/account/password/change/").content.decode()
    labels = re.findall(r'<label class="label"[^>]*>\s*([^<]+?)\s*<', page)
    assert labels == ["Current password", "New password", "New password (again)"]


def test_the_address_in_use_is_marked_where_it_is_the_only_one(as_lena: Client, lena: User) -> None:
    only = as_lena.get("/account/email/").content.decode()
    assert only.count('<span class="badge">in use</span>') == 1
    assert "Use this one" not in only
    EmailAddress.objects.create(user=lena, email="other@example.com")
    both = as_lena.get("/account/email/").content.decode()
    assert re.search(rf'{lena.email}\s*<span class="badge">in use</span>', both)
    assert both.count('<span class="badge">in use</span>') == 1
    assert "Use this one" in both


def test_an_address_is_verified_by_the_link_that_is_sent(
    as_lena: Client, lena: User, mailoutbox: list[EmailMessage]
) -> None:
    as_lena.get("/account/email/")
    as_lena.post("/account/email/", {"email": lena.email, "action_send": ""})
    [link] = re.findall(r"/account/confirm-email/\S+", str(mailoutbox[0].body))
    assert f"Is <b>{lena.email}</b> an address of {lena}?" in as_lena.get(link).content.decode()
    as_lena.post(link)
    assert EmailAddress.objects.get(user=lena).verified


@pytest.fixture
def no_mail_server(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()


@pytest.mark.usefixtures("no_mail_server")
def test_a_stranger_is_told_the_same_of_every_address_without_a_mail_server_too(
    client: Client, lena: User, caplog: pytest.LogCaptureFixture
) -> None:
    known, unknown = (
        client.post("/account/password/reset/", {"email": address})
        for address in (lena.email, "nobody@example.com")
    )
    assert (known.status_code, known["Location"]) == (302, "/account/password/reset/done/")
    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
    [line] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert line.getMessage().startswith("a mail could not be sent: ConnectionRefusedError")


@pytest.mark.usefixtures("no_mail_server")
@pytest.mark.parametrize("action", ["action_send", "action_add"])
def test_whoever_looks_after_their_addresses_is_told_that_no_mail_was_sent(
    action: str, lena: User, as_lena: Client
) -> None:
    as_lena.get("/account/email/")
    address = lena.email if action == "action_send" else "other@example.com"
    answer = as_lena.post("/account/email/", {"email": address, action: ""}, follow=True)
    if action == "action_add":
        again = answer.redirect_chain[-1][0]
        answer = as_lena.post(again, {"password": PASSWORD}, follow=True)
    assert answer.redirect_chain == [("/account/email/", 302)]
    assert [str(said) for said in answer.context["messages"]] == [NOT_SENT]


@pytest.mark.parametrize(
    ("address", "encrypts", "port", "patience"),
    [("submission://berth:secret@mail.example.com", True, 587, 10),
     ("smtp://127.0.0.1:25", False, 25, 10),
     ("submission://mail.example.com?timeout=3", True, 587, 3)],
)  # fmt: skip
def test_mail_goes_out_as_its_address_says_and_nobody_waits_for_it_without_end(
    address: str,
    encrypts: bool,
    port: int,
    patience: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    known = read_settings(monkeypatch, tmp_path, BERTH_EMAIL_URL=address)
    found = (known["EMAIL_USE_TLS"], known["EMAIL_PORT"], known["EMAIL_TIMEOUT"])
    assert found == (encrypts, port, patience)


def test_no_address_with_a_password_is_proposed_that_sends_it_unencrypted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Those of the documentation, of the settings and of what is installed."""
    root = django_settings.BASE_DIR
    files = [
        *root.glob("docs/*.md"),
        root / "panel/settings.py",
        *root.glob("deploy/systemd/*.env"),
    ]
    proposed = {
        address
        for file in files
        for address in re.findall(r"\b(?:smtps?|submi\w+)://[^\s`)]*@[^\s`),]+", file.read_text())
    }
    assert proposed
    for address in proposed:
        assert read_settings(monkeypatch, tmp_path, BERTH_EMAIL_URL=address)["EMAIL_USE_TLS"]


def test_whose_session_it_is_is_read_as_django_reads_it(lena: User) -> None:
    known = Backend().get_user(lena.pk)
    assert known is not None
    assert model_to_dict(known) == model_to_dict(User.objects.get(pk=lena.pk))
    assert known.last_login == lena.last_login
    assert not known._state.adding


def test_a_person_who_is_gone_or_was_shut_out_is_nobody(lena: User, omar: User) -> None:
    User.objects.filter(pk=lena.pk).update(is_active=False)
    User.objects.filter(pk=omar.pk).delete()
    assert Backend().get_user(lena.pk) is None
    assert Backend().get_user(omar.pk) is None


@pytest.mark.parametrize("name", ["lena", "lena@example.com", "LENA@example.com"])
def test_one_signs_in_by_user_name_or_by_address(name: str, client: Client, lena: User) -> None:
    typed = {"login": name, "password": PASSWORD}
    answer = client.post(reverse("account_login"), typed)
    assert (answer.status_code, answer["Location"]) == (302, "/")
