"""What was sent after signing out, or from a page of an earlier sign-in, loses nothing."""

from __future__ import annotations

import pytest
from django.test import Client

from containers.models import Container

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


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
def test_another_site_puts_no_words_onto_a_page(editor: str, origin: str) -> None:
    for browser in (Client(), Client(enforce_csrf_checks=True)):
        answer = browser.post(editor, {"content": TEXT}, headers={"Origin": origin})
        assert b"listen 443" not in answer.content
