"""The pages about an account: that none is a dead end, and that they speak as the menu does."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.hashers import BasePasswordHasher, get_hasher
from django.core.mail import EmailMessage
from django.template.loader import get_template
from django.test import Client
from django.urls import reverse

from panel.models import User
from tests.cast import PASSWORD

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


@pytest.mark.parametrize("name", ["lena", "lena@example.com", "LENA@example.com"])
def test_one_signs_in_by_user_name_or_by_address(name: str, client: Client, lena: User) -> None:
    typed = {"login": name, "password": PASSWORD}
    answer = client.post(reverse("account_login"), typed)
    assert (answer.status_code, answer["Location"]) == (302, "/")


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
