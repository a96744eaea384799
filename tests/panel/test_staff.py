"""The group "Staff" is there after every migrate, with what staff may do and nothing more."""

from __future__ import annotations

import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.models import Group
from django.core import mail
from django.core.management import call_command
from django.forms import model_to_dict
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


def test_an_address_that_staff_have_replaced_lets_nobody_in(lena: User, as_sten: Client) -> None:
    old = lena.email
    EmailAddress.objects.create(user=lena, email=old, verified=True, primary=True)
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


@pytest.mark.parametrize(
    ("typed", "beside"),
    [({"email": "Omar@example.com"}, "email"), ({"email": "second@example.com"}, "email"),
     ({"username": "OMAR"}, "username"), ({"username": "omar@example.com"}, "username")],
)  # fmt: skip
@pytest.mark.parametrize("place", ["add", "{lena.pk}/change"])
def test_staff_give_no_account_a_name_or_an_address_that_another_is_known_by(
    place: str, typed: dict[str, str], beside: str, lena: User, omar: User, as_sten: Client
) -> None:
    EmailAddress.objects.create(user=omar, email="second@example.com", verified=True)
    form = {"username": "new", "email": "new@example.org", "usable_password": "false", **typed}
    answer = as_sten.post(f"/admin/panel/user/{place.format(lena=lena)}/", form)
    [said] = answer.context["adminform"].form.errors[beside]
    assert "already" in said
    assert not User.objects.filter(**typed).exclude(pk=omar.pk).exists()


def test_an_address_that_staff_write_in_capitals_is_the_one_in_use(
    lena: User, as_lena: Client, as_sten: Client
) -> None:
    typed = {"username": "lena", "email": "Lena.Fischer@Example.ORG", "is_active": "on"}
    as_sten.post(f"/admin/panel/user/{lena.pk}/change/", typed)
    page = as_lena.get("/account/email/").content.decode()
    assert re.search(r'lena.fischer@example.org\s*<span class="badge">in use</span>', page)


def test_whoever_has_a_new_account_chooses_its_password(as_sten: Client) -> None:
    typed = {"username": "nora", "email": "nora@example.org", "usable_password": "false"}
    as_sten.post("/admin/panel/user/add/", typed)
    browser = Client()
    browser.post("/account/password/reset/", {"email": "nora@example.org"})
    [link] = re.findall(r"/account/password/reset/key/\S+", str(mail.outbox[0].body))
    form = browser.get(link, follow=True).redirect_chain[-1][0]
    browser.post(form, {"password1": "kelp-and-barnacles", "password2": "kelp-and-barnacles"})
    sign_in = {"login": "nora", "password": "kelp-and-barnacles"}
    assert browser.post("/account/login/", sign_in)["Location"] == "/"


@pytest.mark.parametrize("form", ["add", "{lena.pk}/password"])
def test_staff_are_told_how_that_is_done_and_of_no_other_way(
    form: str, lena: User, as_sten: Client
) -> None:
    text = as_sten.get(f"/admin/panel/user/{form.format(lena=lena)}/").content.decode()
    assert "Forgot your password?" in text
    assert "LDAP" not in text


def test_more_than_one_account_may_have_no_address(lena: User, omar: User, as_sten: Client) -> None:
    User.objects.filter(pk=omar.pk).update(email="")
    as_sten.post(f"/admin/panel/user/{lena.pk}/change/", {"username": "lena", "email": ""})
    lena.refresh_from_db()
    assert lena.email == ""


def test_two_accounts_that_share_an_address_already_can_be_changed_otherwise(
    lena: User, omar: User, as_sten: Client
) -> None:
    User.objects.filter(pk=lena.pk).update(email=omar.email)
    as_sten.post(f"/admin/panel/user/{lena.pk}/change/", {"username": "lena", "email": omar.email})
    lena.refresh_from_db()
    assert not lena.is_active


RIGHTS = ["is_superuser", "is_administrator", "is_staff"]


def everything_of(person: User) -> dict[str, Any]:
    kept = model_to_dict(User.objects.get(pk=person.pk), exclude=["groups", "user_permissions"])
    return {**kept, "groups": set(person.groups.all())}


@pytest.mark.parametrize("right", RIGHTS)
def test_staff_look_at_a_customer_who_was_given_rights(
    right: str, lena: User, as_sten: Client
) -> None:
    User.objects.filter(pk=lena.pk).update(**{right: True})
    page = as_sten.get(f"/admin/panel/user/{lena.pk}/change/")
    assert page.status_code == 200
    text = page.content.decode()
    assert lena.email in text
    assert 'name="_save"' not in text
    assert "password/" not in text.partition('id="content"')[2]
    assert lena.password not in text


@pytest.mark.parametrize("right", RIGHTS)
def test_staff_change_nobody_who_has_rights(right: str, lena: User, as_sten: Client) -> None:
    User.objects.filter(pk=lena.pk).update(**{right: True})
    before = everything_of(lena)
    place = f"/admin/panel/user/{lena.pk}"
    new = {"usable_password": "true", "password1": "a-new-Word-17", "password2": "a-new-Word-17"}
    typed = {"username": "lena", "email": "thief@example.org", "is_active": "on"}
    for page, form in (("change", typed), ("password", new), ("delete", {"post": "yes"})):
        assert as_sten.post(f"{place}/{page}/", form).status_code == 403, page
    assert as_sten.get(f"{place}/password/").status_code == 403
    for action in ("delete_selected", ""):
        ticked = {"action": action, "_selected_action": [lena.pk], "post": "yes"}
        as_sten.post("/admin/panel/user/", ticked)
    assert everything_of(lena) == before


def test_staff_do_not_change_their_own_account_in_the_admin(sten: User, as_sten: Client) -> None:
    before = everything_of(sten)
    rights = dict.fromkeys(RIGHTS, "on")
    typed = {"username": "sten", "email": sten.email, "is_active": "on", **rights}
    assert as_sten.post(f"/admin/panel/user/{sten.pk}/change/", typed).status_code == 403
    assert everything_of(sten) == before


def test_staff_give_no_rights_to_a_customer(lena: User, as_sten: Client) -> None:
    rights = dict.fromkeys(RIGHTS, "on")
    typed = {"username": "lena", "first_name": "Lea", "email": lena.email, "is_active": "on"}
    group = Group.objects.get(name="Staff")
    as_sten.post(f"/admin/panel/user/{lena.pk}/change/", {**typed, **rights, "groups": [group.pk]})
    lena.refresh_from_db()
    assert lena.first_name == "Lea"
    assert not any(getattr(lena, right) for right in RIGHTS)
    assert not lena.groups.exists()


def test_the_list_of_accounts_names_staff_no_one_who_has_rights(
    lena: User, ada: User, as_sten: Client
) -> None:
    text = as_sten.get("/admin/panel/user/").content.decode()
    assert f"/admin/panel/user/{lena.pk}/change/" in text
    assert f"/admin/panel/user/{ada.pk}/change/" not in text


def test_the_list_of_accounts_says_what_each_is(lena: User, as_sten: Client) -> None:
    text = as_sten.get("/admin/panel/user/").content.decode()
    assert "Role</span>" in text
    assert '<td class="field-role">customer</td>' in text


@pytest.mark.parametrize("key", ["0", "abc", "9" * 30, "%00"])
def test_who_is_not_there_is_not_found(key: str, as_sten: Client) -> None:
    assert as_sten.get(f"/admin/panel/user/{key}/change/")["Location"] == "/admin/"


def test_whoever_changes_their_own_password_does_so_where_failures_are_counted(
    sten: User, as_sten: Client
) -> None:
    new = "a-new-Word-17"
    form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    for answer in (
        as_sten.get("/admin/password_change/"),
        as_sten.post("/admin/password_change/", form),
    ):
        assert answer["Location"] == "/account/password/change/"
    sten.refresh_from_db()
    assert sten.check_password(PASSWORD)
