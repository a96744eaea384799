"""Who gets in where: every address of the panel, asked by every role in every way."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import pytest
from django.contrib import admin
from django.http import HttpResponseBase
from django.test import Client

from tests.security.addresses import Address, addresses, admin_addresses
from tests.security.conftest import ROLES, House, knock

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
PAGE, BUTTON, FORM = {"GET", "HEAD"}, {"POST"}, {"GET", "HEAD", "POST"}

EVERYBODY = set(ROLES)
SIGNED_IN = EVERYBODY - {"stranger"}
MAY_SEE = SIGNED_IN - {"other"}
MAY_OPEN = MAY_SEE - {"staff"}
ADMINISTRATORS = {"administrator", "superuser"}


@dataclass(frozen=True)
class Gate:
    """Whom an address lets in, and by which methods; None where a library decides about those.
    Those whom it `tells` may know that it is there; for all others it is not. One that goes
    `by_token` is there for nobody who does not bring it, signed in or not."""

    lets_in: set[str]
    methods: set[str] | None
    tells: frozenset[str] = frozenset()
    by_token: bool = False

    def answers(self, role: str, method: str) -> str:
        if role == "stranger" and role not in self.lets_in and not self.by_token:
            return "sign in first"
        if self.methods is not None and method not in self.methods:
            return "no such method"
        if role in self.lets_in:
            return "come in"
        return "forbidden" if role in self.tells else "not there"


def files(methods: set[str]) -> Gate:
    return Gate(MAY_OPEN, methods, tells=frozenset({"staff"}))


GATES = {
    "dashboard": Gate(SIGNED_IN, PAGE),
    "containers:list": Gate(SIGNED_IN, PAGE),
    "containers:act_many": Gate(SIGNED_IN, BUTTON),
    "containers:detail": Gate(MAY_SEE, PAGE),
    "containers:act": Gate(MAY_SEE, BUTTON),
    "containers:history": Gate(MAY_SEE, PAGE),
    "containers:usage": Gate(MAY_SEE, PAGE),
    "containers:files": files(PAGE),
    "containers:file_download": files({"GET"}),
    "containers:file_edit": files(FORM),
    "containers:file_new": files(FORM),
    "containers:file_upload": files(FORM),
    "containers:folder_new": files(FORM),
    "containers:file_rename": files(FORM),
    "containers:file_delete": files(FORM),
    "containers:nodes": Gate(ADMINISTRATORS, PAGE),
    "containers:node_add": Gate(ADMINISTRATORS, FORM),
    "containers:node_choose": Gate(ADMINISTRATORS, FORM),
    "containers:node": Gate(ADMINISTRATORS, PAGE),
    "containers:node_usage": Gate(ADMINISTRATORS, PAGE),
    "containers:node_service": Gate(ADMINISTRATORS, BUTTON),
    "containers:node_move": Gate(ADMINISTRATORS, FORM),
    "containers:node_faults": Gate(ADMINISTRATORS, BUTTON),
    "containers:settle": Gate(ADMINISTRATORS, FORM),
    "containers:activity": Gate(SIGNED_IN, PAGE),
    "orders:plans": Gate(SIGNED_IN, PAGE),
    "orders:list": Gate(SIGNED_IN, PAGE),
    "orders:new": Gate(SIGNED_IN, FORM),
    "orders:detail": Gate(MAY_SEE, PAGE),
    "orders:pay": Gate(MAY_SEE, FORM),
    "orders:cancel": Gate(MAY_SEE, FORM),
    "orders:refund": Gate(MAY_SEE, FORM),
    "orders:try_again": Gate(MAY_SEE, FORM),
    "account_login": Gate(EVERYBODY, None),
    "account_logout": Gate(EVERYBODY, None),
    "account_inactive": Gate(EVERYBODY, None),
    "account_signup": Gate(EVERYBODY, None),
    "account_reauthenticate": Gate(SIGNED_IN, None),
    "account_email": Gate(SIGNED_IN, None),
    "account_email_verification_sent": Gate(EVERYBODY, None),
    "account_change_password": Gate(SIGNED_IN, None),
    "account_set_password": Gate(SIGNED_IN, None),
    "account_reset_password": Gate(EVERYBODY, None),
    "account_confirm_login_code": Gate(EVERYBODY, None),
    "account_confirm_email": Gate(EVERYBODY, None),
    "account_reset_password_from_key_done": Gate(EVERYBODY, None),
    "account_reset_password_from_key": Gate(EVERYBODY, None),
    "account_reset_password_done": Gate(EVERYBODY, None),
    "mfa_index": Gate(SIGNED_IN, None),
    "mfa_authenticate": Gate(EVERYBODY, None),
    "mfa_reauthenticate": Gate(SIGNED_IN, None),
    "mfa_activate_totp": Gate(SIGNED_IN, None),
    "mfa_deactivate_totp": Gate(SIGNED_IN, None),
    "mfa_view_recovery_codes": Gate(SIGNED_IN, None),
    "mfa_generate_recovery_codes": Gate(SIGNED_IN, None),
    "mfa_download_recovery_codes": Gate(SIGNED_IN, None),
    "process_payment": Gate(EVERYBODY, None),
    "static_process_payment": Gate(EVERYBODY, None),
    "healthz": Gate(EVERYBODY, PAGE),
    "live": Gate(EVERYBODY, PAGE),
    "ready": Gate(EVERYBODY, PAGE),
    "metrics": Gate(set(), PAGE, by_token=True),
}

# In the Django admin: what staff may do with each model, and what a superuser may.
EVERYTHING = "view add change delete"
RIGHTS = {
    "account.emailaddress": ("", EVERYTHING),
    "auth.group": ("", EVERYTHING),
    "mfa.authenticator": ("", "view delete"),
    "panel.user": ("view add change", "view add change"),
    "containers.container": ("view", "view"),
    "containers.node": ("view", "view change"),
    "containers.operation": ("view", "view"),
    "containers.statuschange": ("view", "view"),
    "containers.filechange": ("view", "view"),
    "orders.system": ("view add change", EVERYTHING),
    "orders.plan": ("view add change", "view add change"),
    "orders.order": ("view", "view"),
    "orders.payment": ("view", "view"),
}
# What a page of a model takes: to be seen, and to be sent.
WANTS = {
    "changelist": ("view", "view"),
    "history": ("view", "view"),
    "add": ("add", "add"),
    "delete": ("delete", "delete"),
    "change": ("view", "change"),
    "password_change": ("change", "change"),
}
# The pages of no model are for all who may use the admin.
OF_NO_MODEL = {
    "index", "login", "password_change", "password_change_done", "jsi18n", "view_on_site",
    "app_list",
}  # fmt: skip


def test_every_address_has_its_gate_and_every_model_its_rights() -> None:
    assert GATES.keys() == {address.name for address in addresses()}
    assert RIGHTS.keys() == {model._meta.label_lower for model in admin.site._registry}


@pytest.mark.django_db
def test_every_address_lets_in_whom_it_should_and_nobody_else(
    house: House, browsers: dict[str, Client]
) -> None:
    wrong = {}
    for address, (role, browser), method in product(addresses(), browsers.items(), METHODS):
        gate = GATES[address.name]
        answer = meaning(knock(browser, method, house.at(address)))
        if gate.methods is None:
            right = (answer == "sign in first") == (role not in gate.lets_in)
        else:
            right = answer == gate.answers(role, method)
        if not right:
            wrong[address.name, role, method] = answer
    assert not wrong


@pytest.mark.django_db
def test_the_django_admin_is_for_those_who_have_the_right_to_it(
    house: House, browsers: dict[str, Client]
) -> None:
    wrong = {}
    for address, (role, browser), method in product(
        admin_addresses(), browsers.items(), ("GET", "POST", "DELETE")
    ):
        answer = meaning(knock(browser, method, house.at(address)))
        came_in = answer == "come in"
        if answer != "no such method" and came_in != _may(role, address, method):
            wrong[address.name, role, method] = answer
    assert not wrong


def meaning(answer: HttpResponseBase) -> str:
    """What the answer says to whoever asked."""
    place = answer.headers.get("Location", "")
    if place.startswith(("/account/login/?next=", "/admin/login/?next=")):
        return "sign in first"
    said = {403: "forbidden", 404: "not there", 405: "no such method"}
    return said.get(answer.status_code, "come in")


def _may(role: str, address: Address, method: str) -> bool:
    name = address.name.removeprefix("admin:")
    if name == "logout":
        return role != "stranger"
    # No field of the admin completes what is typed.
    if role not in {"staff", "superuser"} or name == "autocomplete":
        return False
    if name in OF_NO_MODEL:
        return True
    app, model = address.route.split("/")[1:3]
    seen, sent = WANTS[name.removeprefix(f"{app}_{model}_").removeprefix("auth_user_")]
    staff, superuser = RIGHTS[f"{app}.{model}"]
    rights = staff if role == "staff" else superuser
    return (sent if method == "POST" else seen) in rights.split()
