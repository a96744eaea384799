"""Adding a node in the panel, where nothing comes of it: what the form says, without a server."""

from __future__ import annotations

import base64
import errno
import os
import socket
import time
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from containers import inventory, registration
from containers.connect import server_at
from containers.drivers import Resources
from containers.drivers.incus import Server
from containers.models import Node
from containers.registration import CannotAdd, Offer
from tests.cast import NodeFactory
from tests.containers.test_concurrency import all_at_once

pytestmark = pytest.mark.django_db


def said_of(browser: Client, where: str) -> str:
    """What stands beside the field; the form keeps what was typed."""
    answer = browser.post("/nodes/add/", {"where": where, "project": "mine", "pool": "fast"})
    assert answer.status_code == 422
    form = answer.context["form"]
    assert [form[name].value() for name in form.fields] == [where, "mine", "fast"]
    assert list(form.errors) == ["where"]
    [sentence] = form.errors["where"]
    return str(sentence)


@pytest.mark.parametrize(
    "where",
    ["hunter2", "é", *(base64.b64encode(sent).decode() for sent in (b"\x9d", b"[1]", b"{}"))],
)
def test_what_is_no_token_is_refused_in_plain_words(where: str, as_ada: Client) -> None:
    said = said_of(as_ada, where)
    assert said.startswith("This is not a join token that can be used.")
    for word in ("Error", "codec", "'", "padding"):
        assert word not in said


def test_a_socket_that_is_not_there_is_said_beside_the_field(
    as_ada: Client, tmp_path: Path
) -> None:
    assert said_of(as_ada, "/nowhere.socket").startswith("No Incus server answers there.")
    deaf = str(tmp_path / "deaf")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(deaf)
        assert said_of(as_ada, deaf).startswith("No Incus server answers there.")


def test_a_socket_that_the_panel_may_not_open_is_said_with_what_to_do(
    as_ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shut(connecting: socket.socket, to: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(socket.socket, "connect", shut)
    said = said_of(as_ada, "/var/lib/incus/unix.socket")
    assert said.startswith("The panel may not open this socket.")
    assert "adduser berth incus-admin" in said


def test_a_server_that_is_gone_before_it_is_added_is_promised_no_work(
    as_ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "reach", lambda where, project: server_at(where, "", project))
    page = as_ada.post(
        "/nodes/add/",
        {"where": "/nowhere.socket", "project": "berth", "pool": "default"},
        follow=True,
    ).content.decode()
    assert "The server does not answer." in page
    assert "The work goes on" not in page


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that answers, without being there."""
    monkeypatch.setattr(inventory, "ask", _has_little)
    monkeypatch.setattr(registration, "offers", lambda server, pool: [Offer("fsn-1", None)])


def _has_little(node: Node) -> inventory.Inventory:
    time.sleep(0.2)  # those who ask at once have all been answered before one of them goes on
    return inventory.Inventory(timezone.now(), Resources(4, 8192, 100), frozenset(), {})


def chooses(browser: Client, name: str) -> HttpResponse:
    session = browser.session
    address = {"address": "https://192.0.2.1:8443", "certificate": "PEM"}
    session["node_reached"] = address | {"project": "berth", "pool": "default"}
    session.save()
    return cast(HttpResponse, browser.post("/nodes/add/choose/", {"add-0": "on", "name-0": name}))


@pytest.mark.parametrize("name", ["n" * 80, "fsn 1", "", "taken"])
def test_a_name_that_a_node_cannot_have_is_said_beside_its_field(
    name: str, as_ada: Client, offered: None
) -> None:
    NodeFactory.create(name="taken")
    answer = chooses(as_ada, name)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert 'aria-invalid="true" aria-describedby="name-0-error"' in page
    assert f'value="{name}"' in page
    assert Node.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_server_that_is_added_twice_at_once_is_one_node(offered: None) -> None:
    server = Server("https://192.0.2.1:8443", "PEM")

    def add(name: str) -> list[Node]:
        return registration.add(server, pool="default", chosen=[(name, None)])

    for names in (["fsn-1", "fsn-1"], ["hel-1", "hel-2"]):
        Node.objects.all().delete()
        results = all_at_once([partial(add, name) for name in names])
        assert {type(result) for result in results} == {list, CannotAdd}
        assert Node.objects.count() == 1
