"""The addresses of an account: by which it is known, and that none is another's."""

from __future__ import annotations

import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.mail import EmailMessage
from django.http import HttpResponse
from django.test import Client

from panel.accounts import NOT_FOR_THIS_ACCOUNT, known_by
from panel.models import User
from tests.cast import PASSWORD

pytestmark = pytest.mark.django_db


def press(browser: Client, button: str, address: str) -> Any:
    """Press a button beside an address, give the password if it is asked for, and read on."""
    page = browser.post("/account/email/", {"email": address, button: ""}, follow=True)
    if page.redirect_chain[-1][0].startswith("/account/reauthenticate/"):
        page = browser.post(page.redirect_chain[-1][0], {"password": PASSWORD}, follow=True)
    return page


def sign_in(name: str, password: str = PASSWORD) -> bool:
    return (
        Client().post("/account/login/", {"login": name, "password": password}).status_code == 302
    )


@pytest.fixture
def lenas_claim(lena: User, omar: User) -> EmailAddress:
    """Omar's address, as a second one of Lena's that was never confirmed."""
    return EmailAddress.objects.create(user=lena, email=omar.email)


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
    lenas_claim: EmailAddress,
    as_lena: Client,
    as_omar: Client,
    omar: User,
    mailoutbox: list[EmailMessage],
) -> None:
    as_lena.post("/account/email/", {"email": omar.email, "action_send": ""})
    [link] = re.findall(r"/account/confirm-email/\S+", str(mailoutbox[0].body))
    answer = as_omar.post(link, follow=True)
    assert NOT_FOR_THIS_ACCOUNT in answer.content.decode()
    assert "_auth_user_id" in as_omar.session
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
    assert known_by("Second@Example.COM") == [lena]
    assert sign_in("second@example.com")
    Client().post("/account/password/reset/", {"email": "second@example.com"})
    assert [letter.to for letter in mailoutbox] == [["second@example.com"]]


def test_an_address_that_nobody_has_is_nobodys_name(
    lena: User, mailoutbox: list[EmailMessage]
) -> None:
    EmailAddress.objects.create(user=lena, email="second@example.com", verified=True)
    assert not sign_in("third@example.com")
    Client().post("/account/password/reset/", {"email": "third@example.com"})
    assert not mailoutbox


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
    assert "an hour, where it was addresses that you changed." in answers[-1].content.decode()
    letter = str(mailoutbox[0].body)
    assert letter.startswith(f"{mailoutbox[0].to[0]} was added to the account lena on http://")
    assert "register" not in letter
