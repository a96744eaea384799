"""The pages about an account: that none is a dead end, and that they speak as the menu does."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from threading import BoundedSemaphore, Event
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings as django_settings
from django.contrib.auth.hashers import BasePasswordHasher, get_hasher
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.forms import model_to_dict
from django.http import HttpResponse
from django.template.loader import get_template
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from panel import mail
from panel.accounts import NOT_FOR_THIS_ACCOUNT, NOT_SENT, Backend
from panel.models import User
from tests.cast import PASSWORD
from tests.environment import read_settings
from tests.incus_node import free_port

pytestmark = pytest.mark.django_db

THREAD = mail.POST


def heading(page: str) -> str:
    [found] = re.findall(r"<h1>([^<]+)</h1>", page)
    return str(found)


def press(browser: Client, button: str, address: str) -> Any:
    """Press a button beside an address, give the password if it is asked for, and read on."""
    page = browser.post("/account/email/", {"email": address, button: ""}, follow=True)
    if page.redirect_chain[-1][0].startswith("/account/reauthenticate/"):
        page = browser.post(page.redirect_chain[-1][0], {"password": PASSWORD}, follow=True)
    return page


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


def test_a_new_password_is_told_by_mail(
    as_lena: Client, lena: User, mailoutbox: list[EmailMessage]
) -> None:
    form = {"oldpassword": PASSWORD, "password1": "kelp-and-barnacles"}
    as_lena.post("/account/password/change/", form | {"password2": form["password1"]})
    [letter] = mailoutbox
    assert letter.to == [lena.email]
    assert letter.subject == "Berth: your password was changed"
    assert "/account/password/reset/" in letter.body


@pytest.mark.parametrize(
    "mail",
    ["account/email/email_changed", "account/email/email_confirm", "account/email/email_deleted",
     "account/email/password_changed", "account/email/password_reset",
     "account/email/password_set", "mfa/email/recovery_codes_generated",
     "mfa/email/totp_activated", "mfa/email/totp_deactivated"],
)  # fmt: skip
def test_a_mail_about_an_account_is_in_the_words_of_the_panel(mail: str) -> None:
    subject, message = (get_template(f"{mail}_{part}.txt") for part in ("subject", "message"))
    assert subject.render().startswith("Berth: ")
    text = message.render({"from_email": "a<b@example.org", "user_agent": "O'Browser"})
    assert "If it was not you, set a new password at once" in text
    assert "&#" not in text
    assert "&lt;" not in text


def test_the_link_to_a_new_password_comes_in_the_words_of_the_panel(
    client: Client, lena: User, mailoutbox: list[EmailMessage]
) -> None:
    client.post("/account/password/reset/", {"email": lena.email})
    [letter] = mailoutbox
    text = str(letter.body)
    assert letter.subject == "Berth: choose a new password"
    assert text.startswith("A new password was asked for, for the account lena on http://")
    [link] = re.findall(r"/account/password/reset/key/\S+", text)
    assert heading(client.get(link, follow=True).content.decode()) == "New password"


@pytest.mark.parametrize(
    ("address", "pressed", "said"),
    [("second@example.com", "action_primary", "Verify the address first, then use it."),
     ("lena@example.com", "action_remove",
      "lena@example.com is in use. Use another address first, then remove it.")],
)  # fmt: skip
def test_why_an_address_stays_as_it_is_is_said_in_the_words_of_its_page(
    address: str, pressed: str, said: str, lena: User, as_lena: Client
) -> None:
    EmailAddress.objects.create(user=lena, email=lena.email, verified=True, primary=True)
    EmailAddress.objects.create(user=lena, email="second@example.com")
    page = press(as_lena, pressed, address)
    assert [str(each) for each in page.context["messages"]] == [said]


def test_to_look_at_the_addresses_writes_nothing(as_lena: Client, lena: User) -> None:
    page = as_lena.get("/account/email/").content.decode()
    assert not EmailAddress.objects.exists()
    assert re.search(rf"{lena.email}\s+<span class=\"badge\">in use</span>", page)


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
    as_lena.post("/account/email/", {"email": lena.email, "action_send": ""})
    [link] = re.findall(r"/account/confirm-email/\S+", str(mailoutbox[0].body))
    assert f"Is <b>{lena.email}</b> an address of {lena}?" in as_lena.get(link).content.decode()
    as_lena.post(link)
    assert EmailAddress.objects.get(user=lena).verified


def test_a_second_address_is_not_put_to_use_by_being_confirmed(
    as_lena: Client, lena: User, mailoutbox: list[EmailMessage]
) -> None:
    used = lena.email
    press(as_lena, "action_add", "second@example.com")
    [link] = re.findall(r"/account/confirm-email/\S+", str(mailoutbox[0].body))
    as_lena.post(link)
    lena.refresh_from_db()
    assert lena.email == used
    assert EmailAddress.objects.get(email="second@example.com").verified
    press(as_lena, "action_primary", "second@example.com")
    lena.refresh_from_db()
    assert lena.email == "second@example.com"


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
    action: str, lena: User, as_lena: Client
) -> None:
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


# --- addresses that are another's --------------------------------------------------------------


def sign_in(name: str, password: str = PASSWORD) -> bool:
    return (
        Client().post("/account/login/", {"login": name, "password": password}).status_code == 302
    )


@pytest.fixture
def lenas_claim(lena: User, omar: User) -> EmailAddress:
    """Omar's address, as a second one of Lena's that was never confirmed."""
    return EmailAddress.objects.create(user=lena, email=omar.email)


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["lena", "lena@example.com", "nobody", "nobody@example.com"])
def test_a_wrong_password_costs_one_hash_whoever_has_an_account(
    name: str, client: Client, lena: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    User.objects.filter(pk=lena.pk).update(email="lena@example.com")
    hasher = type(get_hasher())
    hashed: list[str] = []

    def encode(its: BasePasswordHasher, password: str, salt: str, *rest: int) -> str:
        hashed.append(password)
        return as_it_is(its, password, salt, *rest)

    as_it_is = hasher.encode
    monkeypatch.setattr(hasher, "encode", encode)
    assert client.post("/account/login/", {"login": name, "password": "wrong"}).status_code == 200
    assert hashed == ["wrong"], "the time would tell"


@pytest.mark.parametrize("is_a_second_one", [False, True])
@pytest.mark.parametrize("written", ["omar@example.com", "Omar@Example.COM"])
def test_nobody_adds_an_address_by_which_another_is_known(
    as_lena: Client, omar: User, written: str, is_a_second_one: bool,
    mailoutbox: list[EmailMessage],
) -> None:  # fmt: skip
    if is_a_second_one:
        EmailAddress.objects.create(user=omar, email=omar.email, verified=True)
        User.objects.filter(pk=omar.pk).update(email="other@example.com")
    form = {"email": written, "action_add": ""}
    page = as_lena.post("/account/email/", form)
    if "Location" in page:
        page = as_lena.post(page["Location"], {"password": PASSWORD}, follow=True)
        page = as_lena.post("/account/email/", form)
    assert NOT_FOR_THIS_ACCOUNT in page.content.decode()
    assert "omar" not in page.content.decode().replace(written, "")
    assert not mailoutbox


def test_who_follows_a_link_that_another_had_sent_to_them_loses_nothing(
    lenas_claim: EmailAddress, as_lena: Client, omar: User, mailoutbox: list[EmailMessage]
) -> None:
    as_lena.post("/account/email/", {"email": omar.email, "action_send": ""})
    [link] = re.findall(r"/account/confirm-email/\S+", str(mailoutbox[0].body))
    answer = Client().post(link, follow=True)
    assert NOT_FOR_THIS_ACCOUNT in answer.content.decode()
    lenas_claim.refresh_from_db()
    assert not lenas_claim.verified
    assert sign_in(omar.email)


def test_the_address_in_use_is_not_removed_in_favour_of_one_that_nobody_has_confirmed(
    lenas_claim: EmailAddress, as_lena: Client, lena: User
) -> None:
    used = lena.email
    page = press(as_lena, "action_remove", used)
    lena.refresh_from_db()
    assert lena.email == used
    assert f"{used} is in use." in page.content.decode()


def test_nobody_uses_an_address_that_has_become_anothers(
    lenas_claim: EmailAddress, as_lena: Client, lena: User, omar: User
) -> None:
    page = press(as_lena, "action_primary", omar.email)
    lena.refresh_from_db()
    assert lena.email == "lena@example.com"
    assert NOT_FOR_THIS_ACCOUNT in page.content.decode()


def test_an_address_that_was_taken_before_is_still_its_owners(
    lenas_claim: EmailAddress, omar: User, mailoutbox: list[EmailMessage]
) -> None:
    omar.set_password("another-Word-17")
    omar.save()
    EmailAddress.objects.update(verified=True)
    assert sign_in(omar.email, "another-Word-17")
    Client().post("/account/password/reset/", {"email": omar.email})
    assert any("for the account omar on" in str(letter.body) for letter in mailoutbox)


def test_a_second_address_is_a_name_once_it_is_confirmed(
    lena: User, mailoutbox: list[EmailMessage]
) -> None:
    EmailAddress.objects.create(user=lena, email="second@example.com")
    assert not sign_in("second@example.com")
    Client().post("/account/password/reset/", {"email": "second@example.com"})
    assert not mailoutbox
    EmailAddress.objects.update(verified=True)
    assert sign_in("second@example.com")
    Client().post("/account/password/reset/", {"email": "second@example.com"})
    assert [letter.to for letter in mailoutbox] == [["second@example.com"]]


# --- mails to strangers ----------------------------------------------------------------------


def test_one_account_has_mail_sent_to_few_strangers(
    as_lena: Client, lena: User, mailoutbox: list[EmailMessage]
) -> None:
    def add(number: int) -> HttpResponse:
        form = {"email": f"s{number}@strangers.example", "action_add": ""}
        answer = as_lena.post("/account/email/", form)
        if answer.status_code == 302 and "reauthenticate" in answer["Location"]:
            as_lena.post(answer["Location"], {"password": PASSWORD})
        return answer  # type: ignore[return-value]

    answers = [add(number) for number in range(11)]
    assert len(mailoutbox) == 2
    assert answers[-1].status_code == 429
    assert "Wait an hour, then try again." in answers[-1].content.decode()
    letter = str(mailoutbox[0].body)
    assert letter.startswith(f"{mailoutbox[0].to[0]} was added to the account lena on http://")
    assert "register" not in letter
