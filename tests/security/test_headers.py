"""What every answer tells the browser to forbid, and what no page asks of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.test import Client, RequestFactory

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


@pytest.mark.parametrize("role", ["owner", "superuser"])
def test_a_browser_keeps_no_page_of_whoever_is_signed_in(
    role: str, house: House, browsers: dict[str, Client]
) -> None:
    kept = {}
    for address in [*addresses(), *admin_addresses()]:
        answer = knock(browsers[role], "GET", house.at(address))
        said = answer.headers.get("Cache-Control", "")
        if answer.status_code == 200 and answer.wsgi_request.session.accessed:  # type: ignore[attr-defined]
            kept[address.name] = "no-store" not in said
    assert len(kept) > 20
    # What was typed there is still there for whoever goes back; it asks who is signed in then.
    assert [name for name, is_kept in kept.items() if is_kept] == ["orders:new"]


def test_a_poll_that_hears_nothing_new_is_as_cheap_as_before(as_lena: Client) -> None:
    page = as_lena.get("/containers/").content.decode()
    seen = re.search(r"seen=(\w+)", page)
    assert seen
    answer = as_lena.get(f"/containers/?seen={seen[1]}", headers={"HX-Request": "true"})
    assert (answer.status_code, answer["Cache-Control"]) == (204, "no-store")


def test_signing_out_has_the_browser_forget(as_lena: Client) -> None:
    assert as_lena.post("/account/logout/")["Clear-Site-Data"] == '"cache"'


@pytest.mark.django_db
@pytest.mark.parametrize("place", ["/account/login/", "/", "/nowhere/", "/healthz/live"])
def test_who_asks_for_the_headers_alone_gets_them_alone(place: str) -> None:
    def told(method: str) -> tuple[str, str, bytes]:
        environ = RequestFactory().generic(method, place).environ
        head: dict[str, str] = {}

        def start(status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
            head.update(headers, status=status)

        body = b"".join(WSGIHandler()(environ, start))
        return head["status"], head["Content-Length"], body

    status, length, body = told("GET")
    assert int(length) == len(body)
    assert told("HEAD") == (status, length, b"")


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
