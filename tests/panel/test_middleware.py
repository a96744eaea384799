"""Nobody sees a page without signing in, and a signed-out poll does not fill a table."""

from __future__ import annotations

import pytest
from django.test import Client

from containers.models import Container
from tests.cast import PASSWORD


@pytest.mark.django_db
def test_a_stranger_comes_back_to_where_they_wanted_to_go(container: Container) -> None:
    wanted = f"/containers/{container.pk}/"
    browser = Client()
    asked = browser.get(wanted)
    assert asked["Location"] == f"/account/login/?next={wanted}"
    answer = browser.post(
        asked["Location"], {"login": "lena", "password": PASSWORD, "next": wanted}
    )
    assert answer["Location"] == wanted


@pytest.mark.django_db
def test_a_signed_out_poll_sends_the_whole_browser_to_the_sign_in_page() -> None:
    answer = Client().get(
        "/containers/?status=running&seen=abc",
        headers={
            "HX-Request": "true",
            "HX-Current-URL": "http://testserver/containers/?status=running",
        },
    )
    assert answer.status_code == 200
    assert answer.content == b""
    assert answer["HX-Redirect"] == "/account/login/?next=/containers/%3Fstatus%3Drunning"


@pytest.mark.django_db
@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_whoever_pressed_a_button_signed_out_is_told_that_it_was_in_vain(
    headers: dict[str, str],
) -> None:
    told = "You were signed out. What you pressed last was not done."
    browser = Client()
    browser.get("/containers/", headers=headers)
    assert told not in browser.get("/account/login/?next=/containers/").content.decode()
    browser.post("/containers/act/", {"action": "stop"}, headers=headers)
    assert told in browser.get("/account/login/?next=/containers/").content.decode()


@pytest.mark.django_db
def test_what_was_refused_to_a_request_in_the_background_is_a_click_from_a_fresh_page(
    as_lena: Client,
) -> None:
    page = as_lena.get("/containers/").content.decode()
    note = page.partition('id="failure-refused"')[2].partition("</template>")[0]
    assert '<a href="">Load the page again</a>' in note


@pytest.mark.django_db
@pytest.mark.parametrize("elsewhere", ["https://evil.example/containers/", "//evil.example/", ""])
def test_a_poll_never_leads_back_to_another_site(elsewhere: str) -> None:
    answer = Client().get(
        "/containers/", headers={"HX-Request": "true", "HX-Current-URL": elsewhere}
    )
    assert answer["HX-Redirect"] == "/account/login/?next=/"


@pytest.mark.django_db
def test_a_poll_of_somebody_signed_in_is_answered(as_lena: Client) -> None:
    answer = as_lena.get("/containers/", headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert "HX-Redirect" not in answer


@pytest.mark.django_db
def test_a_person_who_was_shut_out_is_signed_out(as_lena: Client) -> None:
    from panel.models import User

    User.objects.update(is_active=False)
    assert as_lena.get("/containers/").status_code == 302


@pytest.mark.django_db
def test_the_health_check_wants_nobody_signed_in() -> None:
    assert Client().get("/healthz").status_code == 200
