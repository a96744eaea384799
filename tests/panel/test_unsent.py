"""What was sent after signing out, or from a page of an earlier sign-in, loses nothing."""

from __future__ import annotations

import pytest
from django.test import Client

from containers.models import Container
from tests.orders.test_ssh_keys import ED25519

HOME = "http://testserver"
TEXT = "\nlisten 443;\n<b>"
SHOWN = "readonly>\n\nlisten 443;\n&lt;b&gt;</textarea>"

pytestmark = pytest.mark.django_db


@pytest.fixture
def editor(container: Container) -> str:
    """Where the text of a file is saved."""
    return f"/containers/{container.pk}/files/edit/?path=/etc/nginx.conf"


@pytest.mark.parametrize(
    ("page", "back"),
    [
        (
            f"{HOME}/containers/?status=running",
            "http%3A//testserver/containers/%3Fstatus%3Drunning",
        ),
        ("https://evil.example/containers/", "/"),
        ("", "/"),
    ],
)
def test_a_signed_out_press_of_a_button_comes_back_to_the_page_of_the_button(
    page: str, back: str
) -> None:
    answer = Client().post("/containers/act/", {"action": "stop"}, headers={"Referer": page})
    assert answer["Location"] == f"/account/login/?next={back}"


def test_a_text_that_is_saved_signed_out_is_shown_to_be_copied(editor: str) -> None:
    answer = Client().post(
        editor, {"content": TEXT}, headers={"Origin": HOME, "Referer": f"{HOME}{editor}"}
    )
    assert answer.status_code == 403
    assert SHOWN in answer.content.decode()
    assert "/account/login/?next=" in answer.content.decode()


def test_a_text_from_a_page_of_an_earlier_sign_in_is_shown_to_be_copied(editor: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    page = f"{HOME}{editor}"
    answer = strict.post(editor, {"content": TEXT}, headers={"Origin": HOME, "Referer": page})
    assert answer.status_code == 403
    assert SHOWN in answer.content.decode()
    assert f'href="{page}"' in answer.content.decode()


def test_an_order_that_is_sent_signed_out_is_shown_to_be_copied() -> None:
    page = f"{HOME}/orders/new/?plan=1"
    sent = {"plan": "1", "system": "1", "name": "web-07", "ssh_key": ED25519}
    headers = {"Origin": HOME, "Referer": page}
    signed_out = Client().post("/orders/new/", sent, headers=headers)
    earlier = Client(enforce_csrf_checks=True).post("/orders/new/", sent, headers=headers)
    for answer in (signed_out, earlier):
        assert answer.status_code == 403
        assert f"readonly>\nweb-07\n{ED25519}</textarea>" in answer.content.decode()
    assert "/orders/new/%3Fplan%3D1" in signed_out.content.decode()


def test_a_name_alone_that_is_sent_signed_out_is_no_text_to_be_copied() -> None:
    answer = Client().post("/containers/act/", {"name": "web-07"}, headers={"Origin": HOME})
    assert answer.status_code == 302


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
def test_another_site_puts_no_words_onto_a_page(editor: str, origin: str) -> None:
    for browser in (Client(), Client(enforce_csrf_checks=True)):
        answer = browser.post(editor, {"content": TEXT}, headers={"Origin": origin})
        assert b"listen 443" not in answer.content
