"""Keys and passwords are on no page, in no log, in no report of an error."""

from __future__ import annotations

import base64
import json
import logging
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.http import HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory
from django.views.debug import ExceptionReporter
from pytest_django import Settings

from containers.drivers.incus import Server
from containers.drivers.incus.trust import make_identity, read_token
from panel.models import Session, User
from tests.cast import PASSWORD
from tests.incus_node import free_port
from tests.security.addresses import addresses, admin_addresses
from tests.security.conftest import TOTP, House, knock

PLANTED = "planted-5f3a9c"
STRIPE = "orders.stripe.StripeGateway"


@dataclass(frozen=True)
class Planted:
    """What must not be found anywhere, and the file of the panel's own key."""

    identity: Path

    def found_in(self, text: str) -> list[str]:
        lines = self.identity.read_text().split("-----END PRIVATE KEY-----")[0].splitlines()[1:]
        words = [PLANTED, TOTP, *lines, *User.objects.values_list("password", flat=True)]
        words += Session.objects.values_list("session_key", flat=True)
        return [word for word in words if word in text]


@pytest.fixture
def planted(db: None, settings: Settings, tmp_path: Path) -> Planted:
    settings.SECRET_KEY = f"signing-{PLANTED}"
    settings.EMAIL_HOST_PASSWORD = f"mail-{PLANTED}"
    settings.QUEUE_URL = f"postgres://berth:{PLANTED}@db/queue"
    settings.HUEY = {"connection": {"dsn": settings.QUEUE_URL}}
    settings.PAYMENT_VARIANTS = {
        "dummy": ["payments.dummy.DummyProvider", {}],
        "card": [STRIPE, {"api_key": PLANTED, "pin": PLANTED}],
    }
    settings.INCUS_IDENTITY = make_identity(tmp_path / "incus.pem")
    return Planted(settings.INCUS_IDENTITY)


@pytest.mark.parametrize("role", ["owner", "staff", "superuser"])
def test_no_page_shows_one(
    role: str, planted: Planted, house: House, browsers: dict[str, Client]
) -> None:
    house.node.settings = {"certificate": PLANTED}
    house.node.save()
    leaks = {}
    for address in [*addresses(), *admin_addresses()]:
        answer = knock(browsers[role], "GET", house.at(address))
        assert isinstance(answer, HttpResponse | StreamingHttpResponse)
        said = b"".join(answer) if answer.streaming else answer.content
        if found := planted.found_in(f"{answer.headers}{said.decode()}"):
            leaks[address.name] = found
    assert not leaks


def token(**told: object) -> str:
    """A join token of a server that does not answer, whose secret is planted."""
    address = f"127.0.0.1:{free_port()}"
    known = {"addresses": [address], "fingerprint": "ab" * 32, "secret": PLANTED, **told}
    return base64.b64encode(json.dumps(known).encode()).decode()


def test_a_node_that_cannot_be_added_leaves_nothing_in_the_logs(
    planted: Planted, as_ada: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    joining = token()
    form = {"where": joining, "project": "berth", "pool": "default"}
    answer = as_ada.post("/nodes/add/", form)
    assert answer.status_code == 422
    with pytest.raises(CommandError) as refusal:
        call_command("add_node", joining)
    said = f"{caplog.text}{refusal.value}"
    assert "127.0.0.1" in said
    assert joining not in said
    assert not planted.found_in(said)


def test_a_token_shows_no_secret_of_its_own(planted: Planted) -> None:
    joining = read_token(token())
    assert joining.text not in repr(joining)
    server = Server("https://127.0.0.1:1", "", planted.identity)
    assert not planted.found_in(f"{joining!r}{server!r}")


@pytest.mark.parametrize("expires", ["soon", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", 7])
def test_a_token_with_a_date_that_is_none_is_no_token(expires: object, as_ada: Client) -> None:
    form = {"where": token(expires_at=expires), "project": "berth", "pool": "default"}
    answer = as_ada.post("/nodes/add/", form)
    assert answer.status_code == 422
    assert "not a join token that can be used" in answer.content.decode()


def test_a_password_is_in_no_log(lena: User, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for password in (PLANTED, PASSWORD):
        Client().post("/account/login/", {"login": "lena", "password": password})
    assert PLANTED not in caplog.text
    assert PASSWORD not in caplog.text


def test_a_report_of_an_error_shows_none_even_to_developers(
    planted: Planted, as_lena: Client, settings: Settings
) -> None:
    settings.DEBUG = True
    request = RequestFactory().get("/")
    request.COOKIES = {name: cookie.value for name, cookie in as_lena.cookies.items()}
    request.META["HTTP_COOKIE"] = as_lena.cookies.output(header="")
    try:
        raise RuntimeError("something")
    except RuntimeError:
        reporter = ExceptionReporter(request, *sys.exc_info())
    shown = reporter.get_traceback_html() + reporter.get_traceback_text()
    assert "PAYMENT_VARIANTS" in shown
    assert not planted.found_in(shown)


def test_a_page_that_fails_says_nothing_of_why(
    planted: Planted, as_lena: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("containers.views.listing.poll_seconds", lambda *_: 1 / 0)
    as_lena.raise_request_exception = False
    answer = as_lena.get("/containers/", headers={"HX-Request": "true"})
    assert answer.status_code == 500
    assert "ZeroDivisionError" not in answer.content.decode()


def test_only_the_panel_reads_its_key(planted: Planted) -> None:
    assert stat.S_IMODE(planted.identity.stat().st_mode) == 0o600
