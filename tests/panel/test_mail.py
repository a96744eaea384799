"""Mails go out beside the request, and what becomes of them tells nobody who has an account."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from threading import BoundedSemaphore, Event

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings as django_settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.test import Client
from pytest_django import Settings

from panel import mail
from panel.accounts import NOT_SENT
from panel.models import User
from tests.cast import PASSWORD
from tests.environment import read_settings
from tests.incus_node import free_port

pytestmark = pytest.mark.django_db


THREAD = mail.POST


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


class Stalled(BaseEmailBackend):
    """A mail server that takes no mail before `goes_on`, and then each."""

    goes_on = Event()
    taken = Event()

    def send_messages(self, letters: Sequence[EmailMessage]) -> int:
        assert self.goes_on.wait(10)
        self.taken.set()
        return len(letters)


def test_nobody_waits_for_the_mail_that_would_tell_who_has_an_account(
    client: Client, lena: User, settings: Settings, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(mail, "POST", THREAD)
    settings.EMAIL_BACKEND = f"{__name__}.Stalled"
    for _ in range(2):
        answer = client.post("/account/password/reset/", {"email": lena.email})
        assert answer["Location"] == "/account/password/reset/done/"
    assert not Stalled.taken.is_set()
    Stalled.goes_on.set()
    assert Stalled.taken.wait(10)
    THREAD.submit(int).result(10)
    assert "a mail" not in caplog.text


def test_mails_beyond_what_may_wait_are_only_logged(
    client: Client, lena: User, monkeypatch: pytest.MonkeyPatch,
    mailoutbox: list[EmailMessage], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(mail, "_room", BoundedSemaphore(1))
    with mail._room:
        client.post("/account/password/reset/", {"email": lena.email})
    assert not mailoutbox
    assert "a mail was not sent" in caplog.text
    client.post("/account/password/reset/", {"email": lena.email})
    assert len(mailoutbox) == 1


@pytest.mark.usefixtures("no_mail_server")
@pytest.mark.parametrize("action", ["action_send", "action_add"])
def test_whoever_looks_after_their_addresses_is_told_that_no_mail_was_sent(
    action: str, lena: User, as_lena: Client, caplog: pytest.LogCaptureFixture
) -> None:
    address = lena.email if action == "action_send" else "other@example.com"
    answer = as_lena.post("/account/email/", {"email": address, action: ""}, follow=True)
    if action == "action_add":
        again = answer.redirect_chain[-1][0]
        answer = as_lena.post(again, {"password": PASSWORD}, follow=True)
    assert answer.redirect_chain == [("/account/email/", 302)]
    assert [str(said) for said in answer.context["messages"]] == [NOT_SENT]
    assert "a mail could not be sent: ConnectionRefusedError" in caplog.text


@pytest.mark.usefixtures("no_mail_server")
def test_an_address_is_removed_though_no_mail_tells_of_it(lena: User, as_lena: Client) -> None:
    EmailAddress.objects.create(user=lena, email="second@example.com")
    form = {"email": "second@example.com", "action_remove": ""}
    answer = as_lena.post("/account/email/", form, follow=True)
    again = answer.redirect_chain[-1][0]
    answer = as_lena.post(again, {"password": PASSWORD}, follow=True)
    assert not EmailAddress.objects.filter(email="second@example.com").exists()
    assert NOT_SENT not in [str(said) for said in answer.context["messages"]]


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
