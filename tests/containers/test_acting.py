"""Pressing buttons: on a row, on the page, on many at once; what a person is answered."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from containers.models import Container, Node, Operation, StatusChange
from containers.reports import lose
from containers.statuses import Status
from panel.models import User
from tests.cast import ContainerFactory, NodeFactory

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def many(browser: Client, action: str, containers: list[Container], **more: str) -> Any:
    ticked = {"action": action, "container": [c.pk for c in containers], **more}
    return browser.post("/containers/act/", ticked)


def test_a_button_of_a_row_answers_with_the_fresh_row(
    as_lena: Client, container: Container
) -> None:
    answer = as_lena.post(
        f"/containers/{container.pk}/act/",
        {"action": "start"},
        headers={**HTMX, "HX-Target": f"container-{container.pk}"},
    )
    text = answer.content.decode()
    assert text.lstrip().startswith(f'<tr id="container-{container.pk}" data-status="booting"')
    assert "<html" not in text
    assert "refresh" in answer["HX-Trigger"]


@pytest.mark.parametrize("browser", ["as_lena", "as_ada"])
def test_a_row_that_comes_alone_has_the_cells_of_the_list(
    browser: str, request: pytest.FixtureRequest, container: Container
) -> None:
    person = request.getfixturevalue(browser)
    page = person.get("/containers/").content.decode()
    alone = person.post(
        f"/containers/{container.pk}/act/",
        {"action": "start"},
        headers={**HTMX, "HX-Target": f"container-{container.pk}"},
    ).content.decode()
    assert alone.count("<td") == page.count("<td") == page.count("<th ")


def test_a_button_of_the_page_answers_with_the_fresh_page(
    as_lena: Client, container: Container
) -> None:
    answer = as_lena.post(
        f"/containers/{container.pk}/act/",
        {"action": "start"},
        headers={**HTMX, "HX-Target": "main"},
    )
    assert answer.content.decode().lstrip().startswith('<main id="main"')
    assert 'data-status="booting"' in answer.content.decode()


def test_whoever_comes_second_gets_the_fresh_row_and_a_sentence(
    as_lena: Client, as_ada: Client, container: Container
) -> None:
    as_ada.post(f"/containers/{container.pk}/act/", {"action": "start"})
    answer = as_lena.post(
        f"/containers/{container.pk}/act/",
        {"action": "start"},
        headers={**HTMX, "HX-Target": f"container-{container.pk}"},
    )
    assert answer.status_code == 409
    text = answer.content.decode()
    assert f'<tr id="container-{container.pk}" data-status="booting"' in text
    assert "web-01 is Booting now: Start is not possible." in text


def test_without_javascript_a_button_of_a_row_leads_back_to_the_list(
    as_lena: Client, container: Container
) -> None:
    here = "/containers/?status=stopped"
    answer = as_lena.post(
        f"/containers/{container.pk}/act/", {"action": "start", "next": here}, follow=True
    )
    assert answer.redirect_chain == [(here, 302)]
    assert "You asked to start web-01." in answer.content.decode()


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "javascript:1"])
def test_a_button_leads_nowhere_else(as_lena: Client, container: Container, elsewhere: str) -> None:
    answer = as_lena.post(
        f"/containers/{container.pk}/act/", {"action": "start", "next": elsewhere}
    )
    assert answer["Location"] == container.get_absolute_url()


def test_migrating_asks_where_to_and_offers_only_what_has_room(
    as_ada: Client, container: Container, other_node: Node
) -> None:
    Node.objects.create(name="tiny", kind="simulated", memory_mb=512, disk_gb=1)
    question = as_ada.post(f"/containers/{container.pk}/act/", {"action": "migrate"})
    offered = re.findall(r'<option value="(\d*)">', question.content.decode())
    assert offered == ["", str(other_node.pk)]
    as_ada.post(
        f"/containers/{container.pk}/act/",
        {"action": "migrate", "confirmed": "yes", "target": other_node.pk},
    )
    assert Operation.objects.get().target == other_node


def test_migrating_without_another_node_says_so_and_changes_nothing(
    as_ada: Client, container: Container
) -> None:
    asked = f"/containers/{container.pk}/act/"
    question = as_ada.post(asked, {"action": "migrate"}).content.decode()
    assert "No other node has room" in question
    assert 'value="migrate"' not in question
    answer = as_ada.post(asked, {"action": "migrate", "confirmed": "yes"})
    assert answer.status_code == 409
    assert "room" in answer.content.decode()
    assert not Operation.objects.exists()
    assert Container.objects.get().status == Status.STOPPED


def test_many_are_previewed_before_anything_happens(as_ada: Client, lena: User, node: Node) -> None:
    stopped = [ContainerFactory.create(customer=lena, node=node) for _ in range(2)]
    running = ContainerFactory.create(customer=lena, node=node, status=Status.RUNNING, name="runs")
    preview = many(as_ada, "start", [*stopped, running]).content.decode()
    assert "Start 2 containers?" in preview
    assert "Of those ticked, 1 cannot:" in preview
    assert "runs" in preview
    assert "Running" in preview
    assert not Operation.objects.exists()


@pytest.mark.parametrize("sent", ["²", "9" * 19, "-1", "x", ""])
def test_what_is_no_key_ticks_nothing(sent: str, as_ada: Client) -> None:
    answer = as_ada.post("/containers/act/", {"action": "start", "container": sent}, follow=True)
    assert "Tick at least one container" in answer.content.decode()


def test_where_none_of_many_can_nothing_is_asked_for(
    as_ada: Client, lena: User, node: Node
) -> None:
    running = ContainerFactory.create(customer=lena, node=node, status=Status.RUNNING)
    preview = many(as_ada, "destroy", [running]).content.decode()
    assert "Destroy is not possible" in preview
    assert "no way to bring it back" not in preview
    assert 'name="action"' not in preview


def test_many_have_each_a_result_of_its_own(as_ada: Client, lena: User, node: Node) -> None:
    ticked = [ContainerFactory.create(customer=lena, node=node) for _ in range(3)]
    as_ada.post(f"/containers/{ticked[0].pk}/act/", {"action": "start"})
    results = many(as_ada, "start", ticked, confirmed="yes").content.decode()
    assert results.count("accepted") == 2
    assert "is Booting now: Start is not possible." in results
    assert Operation.objects.filter(kind="start").count() == 3


def test_where_those_ticked_are_gone_the_list_is_loaded_anew_and_not_into_the_dialog(
    as_ada: Client, container: Container
) -> None:
    Container.objects.update(withdrawn_at=timezone.now())
    ticked = {"action": "start", "container": container.pk, "next": "/containers/?sort=name"}
    answer = as_ada.post("/containers/act/", ticked, headers=HTMX)
    assert answer["HX-Redirect"] == "/containers/?sort=name"


def test_many_are_moved_to_the_node_that_is_chosen(
    as_ada: Client, lena: User, node: Node, other_node: Node
) -> None:
    most = NodeFactory.create(name="most", memory_mb=10**6)
    ticked = [ContainerFactory.create(customer=lena, node=node) for _ in range(2)]
    ticked.append(ContainerFactory.create(customer=lena, node=other_node, name="there"))
    question = many(as_ada, "migrate", ticked).content.decode()
    offered = re.findall(r'<option value="(\d*)">', question)
    assert offered == ["", str(most.pk), str(node.pk), str(other_node.pk)]
    chosen = many(as_ada, "migrate", ticked, confirmed="yes", target=str(other_node.pk))
    assert "there is on node-b already." in chosen.content.decode()
    assert [work.target for work in Operation.objects.all()] == [other_node] * 2


def test_many_that_find_room_nowhere_are_not_moved(as_ada: Client, lena: User, node: Node) -> None:
    ticked = [ContainerFactory.create(customer=lena, node=node) for _ in range(2)]
    question = many(as_ada, "migrate", ticked).content.decode()
    assert "No other node has room for any of them now." in question
    assert 'name="action"' not in question


def test_destroying_many_wants_it_typed(as_ada: Client, lena: User, node: Node) -> None:
    ticked = [ContainerFactory.create(customer=lena, node=node) for _ in range(2)]
    assert many(as_ada, "destroy", ticked, confirmed="yes").status_code == 200
    wrong = many(as_ada, "destroy", ticked, confirmed="yes", name="destroy 3")
    assert wrong.status_code == 422
    assert "Type destroy 2" in wrong.content.decode()
    assert not Operation.objects.exists()
    many(as_ada, "destroy", ticked, confirmed="yes", name="destroy 2")
    assert Operation.objects.filter(kind="destroy").count() == 2


def test_destroying_many_names_each_and_begins_at_the_field(
    as_ada: Client, lena: User, omar: User, node: Node
) -> None:
    ticked = [
        ContainerFactory.create(customer=who, node=node, name=name)
        for who, name in ((lena, "web-01"), (omar, "web-01"), (omar, "mail"))
    ]
    few = many(as_ada, "destroy", ticked).content.decode()
    for name, who in (("web-01", lena), ("web-01", omar), ("mail", omar)):
        assert f'<b>{name}</b> <span class="sub">{who}</span>' in few
    assert 'id="who"' not in few
    assert re.search(r'<input id="typed"[^>]* autofocus ', few)
    ticked += [ContainerFactory.create(customer=lena, node=node) for _ in range(11)]
    assert "and 2 more" in many(as_ada, "destroy", ticked).content.decode()


def test_nobody_acts_on_many_that_are_not_theirs(as_omar: Client, container: Container) -> None:
    many(as_omar, "start", [container], confirmed="yes")
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    "ticked", [{}, {"action": "start"}, {"action": "fly", "container": 1}, {"container": "x"}]
)
def test_nothing_ticked_is_said_in_words(as_ada: Client, ticked: dict[str, str]) -> None:
    answer = as_ada.post("/containers/act/", ticked, follow=True)
    assert "Tick at least one container" in answer.content.decode()


def test_an_unpaid_container_waits_in_words_when_no_node_has_room(
    as_ada: Client, lena: User
) -> None:
    waiting = ContainerFactory.create(customer=lena, status=Status.ORDERED)
    answer = as_ada.post(f"/containers/{waiting.pk}/act/", {"action": "create"})
    assert answer.status_code == 409
    assert "No node has room" in answer.content.decode()
    waiting.refresh_from_db()
    assert waiting.status == Status.ORDERED
    assert waiting.create_again_at is not None


def test_the_page_tells_staff_the_technical_reason_and_customers_what_to_do(
    as_lena: Client, as_sten: Client, container: Container
) -> None:
    as_lena.post(f"/containers/{container.pk}/act/", {"action": "start"})
    Operation.objects.update(
        outcome="failed", error="It did not boot. Repair it.", error_detail="exit status 1"
    )
    Container.objects.update(status=Status.STOPPED, problem="It did not boot. Repair it.")
    for page in (container.get_absolute_url(), f"{container.get_absolute_url()}activity/"):
        theirs = as_lena.get(page).content.decode()
        assert "It did not boot. Repair it." in theirs
        assert "exit status 1" not in theirs
        assert "exit status 1" in as_sten.get(page).content.decode()


def test_what_an_administrator_decides_is_one_click_away_for_an_administrator(
    as_lena: Client, as_ada: Client, container: Container, node: Node
) -> None:
    problem = "The node does not have it any more. An administrator decides."
    Container.objects.update(status=Status.OFFLINE, missing=True, problem=problem)
    there = f'href="{node.get_absolute_url()}#h-differences"'
    assert there in as_ada.get(container.get_absolute_url()).content.decode()
    theirs = as_lena.get(container.get_absolute_url()).content.decode()
    assert problem in theirs
    assert there not in theirs


def test_why_a_node_does_not_answer_is_for_staff(
    as_lena: Client, as_sten: Client, container: Container, node: Node
) -> None:
    Node.objects.update(online=False, problem="no route to host")
    Container.objects.update(status=Status.OFFLINE, problem="The connection is broken.")
    assert "no route to host" in as_sten.get(container.get_absolute_url()).content.decode()
    assert "no route to host" not in as_lena.get(container.get_absolute_url()).content.decode()


def test_work_that_waits_for_its_node_is_called_by_its_name_and_says_so(
    as_lena: Client, container: Container, node: Node
) -> None:
    as_lena.post(f"/containers/{container.pk}/act/", {"action": "start"})
    page = as_lena.get(container.get_absolute_url()).content.decode()
    assert "Waiting for the worker" in page
    lose(node, "no answer")
    page = as_lena.get(container.get_absolute_url()).content.decode()
    assert '<h2 id="h-operation">Start</h2>' in page
    assert "It waits until node-a answers again" in page
    assert "Waiting for the worker" not in page


def test_the_history_names_who_and_why(as_lena: Client, lena: User, container: Container) -> None:
    as_lena.post(f"/containers/{container.pk}/act/", {"action": "repair"})
    change = StatusChange.objects.get()
    assert (change.from_status, change.to_status, change.by) == ("stopped", "repairing", lena)
    for address in (f"{container.get_absolute_url()}activity/", "/activity/"):
        page = as_lena.get(address).content.decode()
        assert "Lena Fischer" in page
        assert "Repairing" in page
