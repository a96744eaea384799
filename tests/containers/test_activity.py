"""What happened lately to everything: narrowed to what failed, and searched."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from containers import search
from containers.models import Container, Node
from panel.models import User
from tests.cast import ContainerFactory
from tests.conftest import Worker
from tests.containers.acts import ask_and_wait, broken

pytestmark = pytest.mark.django_db
MARK = '<span class="status bad">failed</span>'


@pytest.fixture
def mixed(container: Container, omar: User, node: Node, worker: Worker, lena: User) -> Container:
    """Lena's has failed to start; Omar's, `shop`, has started before."""
    his = ContainerFactory.create(customer=omar, node=node, name="shop")
    ask_and_wait(his, "start", worker, omar)
    broken(node, failing=True)
    return ask_and_wait(container, "start", worker, lena)


def shown(browser: Client, **asked: str) -> list[str]:
    """The containers of the rows, the newest first, each with the status that it came to."""
    page = browser.get("/activity/", asked).content.decode()
    names = re.findall(r'<a class="name" href="[^"]*">([^<]*)</a>', page)
    statuses = re.findall(r'<span class="status" data-status="(\w+)"', page)
    return [f"{name} {status}" for name, status in zip(names, statuses, strict=True)]


def test_what_failed_is_marked_in_every_history(
    as_ada: Client, as_lena: Client, mixed: Container
) -> None:
    page = mixed.get_absolute_url()
    for browser, address in ((as_ada, "/"), (as_ada, "/activity/"), (as_lena, page)):
        assert browser.get(address).content.decode().count(MARK) == 1
    # There it stands beside what was done, too.
    assert as_lena.get(f"{page}activity/").content.decode().count(MARK) == 2


def test_only_those_who_see_everybodys_are_told_whose_each_was(
    as_ada: Client, as_lena: Client, mixed: Container
) -> None:
    for browser, told in ((as_ada, True), (as_lena, False)):
        assert ("Customer</th>" in browser.get("/activity/").content.decode()) == told


WAYS = [(1000, 1000), (0, 1000), (0, 0)]


@pytest.mark.parametrize(("far_enough", "sorted_"), WAYS)
def test_history_is_narrowed_to_what_failed(
    as_ada: Client, as_lena: Client, as_omar: Client, mixed: Container, far_enough: int,
    sorted_: int, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(search, "FAR_ENOUGH", far_enough)
    monkeypatch.setattr(search, "SORTED", sorted_)
    assert shown(as_lena, status="failed") == ["web-01 stopped"]
    assert shown(as_omar, status="failed") == []
    assert shown(as_ada) == ["web-01 stopped", "web-01 booting", "shop running", "shop booting"]
    assert shown(as_ada, status="failed") == ["web-01 stopped"]


@pytest.mark.parametrize(("far_enough", "sorted_"), WAYS)
@pytest.mark.parametrize("text", ["shop", "sho", "Haddad", "omar"])
def test_history_is_searched_by_container_and_customer(
    as_ada: Client, mixed: Container, text: str, far_enough: int, sorted_: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(search, "FAR_ENOUGH", far_enough)
    monkeypatch.setattr(search, "SORTED", sorted_)
    assert shown(as_ada, q=text) == ["shop running", "shop booting"]
    assert shown(as_ada, q=text, status="running") == ["shop running"]
    assert shown(as_ada, q=text, status="failed") == []


def test_a_search_finds_nothing_of_others_and_says_so(as_lena: Client, mixed: Container) -> None:
    assert shown(as_lena, q="shop") == []
    assert "Nothing matches" in as_lena.get("/activity/", {"q": "shop"}).content.decode()


def test_the_pages_of_a_search_stay_within_it(
    as_ada: Client, mixed: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("containers.paging.Pages.per_page", 1)
    page = as_ada.get("/activity/", {"q": "shop", "status": "failed", "page": "1"})
    assert page.context["query"] == "q=shop&status=failed&"
