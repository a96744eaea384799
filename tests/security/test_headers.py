"""What every answer tells the browser to forbid, and what no page asks of it."""

from __future__ import annotations

import re

import pytest
from django.http import HttpResponse
from django.test import Client

from tests.security.addresses import addresses, admin_addresses
from tests.security.conftest import House, knock

POLICY = {
    "default-src 'self'",
    "img-src 'self' data:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
}
HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), "
    "payment=(), usb=()",
}
# What the policy would not let run: scripts and styles within the page, other than data.
INLINE = re.compile(
    r"<script(?![^>]*\bsrc=)(?![^>]*application/json)|<style|<[a-z][^>]*\s(style|on[a-z]+)="
    r"|javascript:",
    re.I,
)


@pytest.mark.parametrize("role", ["stranger", "owner", "superuser"])
def test_every_page_is_under_the_same_strict_policy(
    role: str, house: House, browsers: dict[str, Client]
) -> None:
    wrong: dict[str, object] = {}
    for address in [*addresses(), *admin_addresses()]:
        answer = knock(browsers[role], "GET", house.at(address))
        policy = set(answer.headers.get("Content-Security-Policy", "").split("; "))
        said = {name: answer.headers.get(name) for name in HEADERS}
        if policy != POLICY or said != HEADERS:
            wrong[address.name] = policy, said
        if isinstance(answer, HttpResponse) and (found := INLINE.search(answer.content.decode())):
            wrong[address.name] = found[0]
    assert not wrong


@pytest.mark.parametrize("place", ["/nowhere/", "/containers/999/", "/static/nothing.css"])
def test_what_is_not_there_is_no_exception(place: str, as_lena: Client) -> None:
    answer = as_lena.get(place)
    assert answer.status_code == 404
    assert set(answer["Content-Security-Policy"].split("; ")) == POLICY


def test_a_file_of_a_container_is_never_shown_as_a_page(house: House, as_lena: Client) -> None:
    answer = as_lena.get(f"/containers/{house.container.pk}/files/download/?path=/etc/hostname")
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["X-Content-Type-Options"] == "nosniff"
