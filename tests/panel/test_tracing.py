"""From a click to the call of a node, every line of the log says which request it comes of."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from logging.config import dictConfig
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from allauth.account.views import PasswordResetFromKeyView
from django.conf import settings as django_settings
from django.db import OperationalError
from django.middleware.common import CommonMiddleware
from django.test import Client
from django.urls import reverse

from containers.drivers import Progress
from containers.drivers.incus import client as incus
from containers.drivers.incus.client import Server
from containers.models import Container, Operation
from containers.operations import work
from containers.views import listing
from panel import logs
from panel.models import User
from tests.conftest import Worker

pytestmark = pytest.mark.django_db

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def logged() -> Iterator[Lines]:
    """`logged()`: the lines of the log so far, as a machine reads them."""
    dictConfig(logs.configuration("INFO", "json"))
    written = io.StringIO()
    [handler] = [h for h in logging.root.handlers if type(h) is logging.StreamHandler]
    handler.setStream(written)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    dictConfig(django_settings.LOGGING)


def one(lines: list[dict[str, Any]], event: str) -> dict[str, Any]:
    [found] = [line for line in lines if line["event"] == event]
    return found


def click(browser: Client, container: Container, **headers: str) -> str:
    answer = browser.post(f"/containers/{container.pk}/act/", {"action": "start"}, headers=headers)
    return answer["X-Request-ID"]


def test_one_click_is_found_in_the_log_of_web_worker_and_node(
    as_lena: Client, lena: User, container: Container, worker: Worker, logged: Lines
) -> None:
    click_id = click(as_lena, container)
    web = one(logged(), "request")
    worker.carry_out_all()
    operation = Operation.objects.get()
    assert operation.request_id == click_id
    assert (web["request_id"], web["user"], web["method"], web["status"]) == (
        click_id, lena.pk, "POST", 302,
    )  # fmt: skip
    for event in ("node call", "operation ended"):
        line = one(logged(), event)
        assert (line["request_id"], line["operation"]) == (click_id, operation.pk)
        assert line["node"] == "node-a"
    ended = one(logged(), "operation ended")
    assert (ended["kind"], ended["outcome"], ended["attempts"]) == ("start", "done", 1)
    assert ended["container"] == container.pk


def test_a_call_of_a_real_node_is_told_without_what_was_sent(
    as_lena: Client,
    container: Container,
    worker: Worker,
    logged: Lines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = httpx.MockTransport(
        lambda request: httpx.Response(200, json={"type": "sync", "metadata": {}})
    )
    monkeypatch.setattr(httpx, "HTTPTransport", lambda **_: answer)
    monkeypatch.setattr(incus, "limit", lambda *_: None)

    def steps(job: work.Job) -> Iterator[Progress]:
        node = incus.Client(Server("/run/incus.socket"))
        node.change("PUT", "/1.0/instances/ct-1/state", {"secret": "sesame"})
        yield Progress(None, "Booting")

    monkeypatch.setitem(work.STEPS, "start", steps)
    click_id = click(as_lena, container)
    worker.carry_out_all()
    call = next(line for line in logged() if line.get("path") == "/1.0/instances/ct-1/state")
    assert (call["method"], call["status"], call["request_id"]) == ("PUT", 200, click_id)
    assert call["ms"] >= 0
    assert call["server"] == "/run/incus.socket"
    assert "sesame" not in json.dumps(logged())


def test_the_id_that_a_proxy_has_given_is_kept(as_lena: Client, container: Container) -> None:
    assert click(as_lena, container, **{"X-Request-ID": "edge-7.1_b2c3"}) == "edge-7.1_b2c3"
    assert Operation.objects.get().request_id == "edge-7.1_b2c3"


@pytest.mark.parametrize("forged", ["short", "x" * 65, "two words 12", 'a"injected":1,"b', "é" * 9])
def test_an_id_that_is_not_well_formed_is_replaced(client: Client, forged: str) -> None:
    given = client.get("/healthz", headers={"X-Request-ID": forged})["X-Request-ID"]
    assert given != forged
    assert len(given) == 32


def test_a_poll_with_nothing_new_leaves_no_line(
    as_lena: Client, container: Container, logged: Lines
) -> None:
    page = as_lena.get("/containers/").content.decode()
    [again] = re.findall(r'data-poll hx-get="([^"]+)"', page)
    htmx = {"HX-Request": "true"}
    assert as_lena.get(again.replace("&amp;", "&"), headers=htmx).status_code == 204
    assert one(logged(), "request")["status"] == 200, "the page alone"


def test_two_requests_have_nothing_to_do_with_each_other(as_lena: Client, logged: Lines) -> None:
    as_lena.get("/containers/")
    Client().get("/account/login/")
    first, second = (line for line in logged() if line["event"] == "request")
    assert first["request_id"] != second["request_id"]
    assert first["user"]
    assert second["user"] is None


def test_a_line_tells_no_query_and_nothing_that_lets_anybody_in(
    client: Client, logged: Lines
) -> None:
    client.get("/account/password/reset/key/1q-c8k2-sesame/?q=hidden")
    client.get("/payments/process/01234567-89ab-cdef-0123-456789abcdef/")
    told = json.dumps([line["path"] for line in logged()])
    for secret in ("sesame", "hidden", "1q", "456789abcdef"):
        assert secret not in told


RESET = "/account/password/reset/key/1q-c8k2-sesame"


@pytest.mark.parametrize(
    "path",
    [RESET, f"{RESET}/x/", "/account/password/reset/key/sesame/", "/account/confirm-email/sesame",
     "/payments/process/01234567-sesame/", "/payments/process/sesame1"],
)  # fmt: skip
def test_a_key_is_not_told_where_its_address_is_broken_either(
    path: str, client: Client, logged: Lines
) -> None:
    client.get(path)
    assert one(logged(), "request")["path"].endswith("/-")
    assert "sesame" not in json.dumps(logged())


def test_whose_report_of_a_payment_it_is_is_told(client: Client, logged: Lines) -> None:
    client.post("/payments/process/card/")
    assert one(logged(), "request")["path"] == "/payments/process/card/"


def test_a_key_is_not_told_where_its_page_fails(client: Client, logged: Lines) -> None:
    client.raise_request_exception = False
    for error in (ZeroDivisionError, OperationalError("connection refused")):
        with patch.object(PasswordResetFromKeyView, "dispatch", side_effect=error):
            client.get(f"{RESET}/")
    errors = [line["event"] for line in logged() if line["level"] == "error"]
    assert errors == [
        "Internal Server Error: /account/password/reset/key/-",
        "503 GET /account/password/reset/key/-: the database cannot be used (connection refused)",
    ]
    assert "sesame" not in json.dumps(logged())


def test_a_key_is_not_told_where_its_form_is_refused(logged: Lines) -> None:
    Client(enforce_csrf_checks=True).post("/account/confirm-email/sesame/")
    refusal = next(line for line in logged() if line["level"] == "warning")
    assert refusal["event"].startswith("Forbidden (CSRF cookie not set.): /account/confirm-email/-")
    assert "sesame" not in json.dumps(logged())


@pytest.mark.parametrize("library", ["httpx", "stripe", "urllib3", "websockets.client"])
def test_what_was_sent_and_answered_is_not_told_in_detail_either(library: str) -> None:
    dictConfig(logs.configuration("DEBUG", "json"))
    speaks = logging.getLogger(library).isEnabledFor(logging.INFO)
    dictConfig(django_settings.LOGGING)
    assert not speaks


def test_an_address_cannot_forge_a_line(client: Client, logged: Lines) -> None:
    forged = "/nowhere/%0a2026-01-01 [error] all is lost"
    told = "/nowhere/%0A2026-01-01%20%5Berror%5D%20all%20is%20lost"
    client.get(forged)
    assert one(logged(), "request")["path"] == told
    client.raise_request_exception = False
    with patch.object(CommonMiddleware, "process_request", side_effect=OperationalError("gone")):
        client.get(forged)
    [failure] = [line["event"] for line in logged() if line["level"] == "error"]
    assert failure == f"503 GET {told}: the database cannot be used (gone)"


def test_the_page_for_what_nobody_expected_says_the_number_in_the_log(
    as_lena: Client, logged: Lines
) -> None:
    as_lena.raise_request_exception = False
    with patch.object(listing, "poll_seconds", side_effect=ZeroDivisionError):
        answer = as_lena.get("/containers/")
    assert answer.status_code == 500
    number = answer["X-Request-ID"]
    assert f"<code>{number}</code>" in answer.content.decode()
    failure = next(line for line in logged() if line["level"] == "error")
    assert failure["request_id"] == number
    assert "ZeroDivisionError" in failure["exception"]


def test_staff_find_the_numbers_of_an_operation_and_customers_do_not(
    as_lena: Client, as_ada: Client, container: Container, worker: Worker
) -> None:
    number = click(as_lena, container)
    page = reverse("containers:history", args=[container.pk])
    assert f"request {number}" in as_ada.get(page).content.decode()
    assert number not in as_lena.get(page).content.decode()


def test_a_line_for_a_terminal_bears_the_ids_as_well(
    as_lena: Client, container: Container, capsys: pytest.CaptureFixture[str]
) -> None:
    dictConfig(logs.configuration("INFO", "line"))
    number = click(as_lena, container)
    dictConfig(django_settings.LOGGING)
    assert f"request_id={number}" in capsys.readouterr().err


def test_work_that_is_taken_up_again_is_told(
    as_lena: Client, container: Container, worker: Worker, logged: Lines
) -> None:
    click_id = click(as_lena, container)
    Operation.objects.update(attempts=1)
    worker.carry_out_all()
    line = one(logged(), "carrying out")
    assert (line["request_id"], line["kind"], line["attempts"]) == (click_id, "start", 2)
