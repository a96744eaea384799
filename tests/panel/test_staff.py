"""The group "Staff" is there after every migrate, with what staff may do and nothing more."""

from __future__ import annotations

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.models import Group
from django.core import mail
from django.core.management import call_command
from django.test import Client

from panel.models import User
from tests.cast import PASSWORD

pytestmark = pytest.mark.django_db


def may() -> set[str]:
    group = Group.objects.get(name="Staff")
    return {
        f"{permission.content_type.app_label}.{permission.codename}"
        for permission in group.permissions.select_related("content_type")
    }


def test_staff_may_look_after_what_is_sold_and_to_whom() -> None:
    assert {"orders.change_plan", "orders.change_order", "panel.add_user"} <= may()


def test_staff_may_look_at_containers_and_nodes_and_change_none() -> None:
    assert {permission for permission in may() if permission.startswith("containers.")} == {
        "containers.view_container",
        "containers.view_filechange",
        "containers.view_node",
        "containers.view_operation",
        "containers.view_statuschange",
    }


def test_staff_may_delete_nothing_and_hand_out_no_rights() -> None:
    assert not {permission for permission in may() if ".delete_" in permission}
    assert not {permission for permission in may() if permission.startswith("auth.")}


def test_what_was_taken_away_is_back_after_the_next_migrate() -> None:
    before = may()
    Group.objects.all().delete()
    call_command("migrate", verbosity=0)
    assert may() == before


def test_an_address_that_staff_have_replaced_lets_nobody_in(
    lena: User, as_lena: Client, as_sten: Client
) -> None:
    old = lena.email
    as_lena.get("/account/email/")
    assert EmailAddress.objects.filter(user=lena, email=old).exists()
    typed = {"username": "lena", "first_name": "Lena", "last_name": "Fischer", "is_active": "on"}
    page = f"/admin/panel/user/{lena.pk}/change/"
    as_sten.post(page, {**typed, "email": "new@example.org"})
    lena.refresh_from_db()
    assert lena.email == "new@example.org"
    for address in (old, lena.email):
        Client().post("/account/password/reset/", {"email": address})
    assert [letter.to for letter in mail.outbox] == [["new@example.org"]]


def test_a_browser_left_open_gives_nobody_a_new_address(lena: User) -> None:
    browser = Client()
    browser.post("/account/login/", {"login": "lena", "password": PASSWORD})
    session = browser.session
    for method in session["account_authentication_methods"]:
        method["at"] -= 3600
    session.save()
    answer = browser.post("/account/email/", {"action_add": "", "email": "thief@example.org"})
    assert answer["Location"].startswith("/account/reauthenticate/")
    assert not EmailAddress.objects.filter(email="thief@example.org").exists()
