"""Adding a node in the panel, where nothing comes of it: what the form says, without a server."""

from __future__ import annotations

import base64
import socket
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from containers import registration
from containers.connect import server_at

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_key(settings: Any, tmp_path: Path) -> None:
    settings.INCUS_IDENTITY = tmp_path / "incus.pem"


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
