"""What differs is on the node's page, and administrators settle it there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from containers.connect import simulated
from containers.differences import counts_on, differences_on
from containers.drivers.simulated import Faults, SimulatedDriver
from containers.models import Container, Node
from containers.settling import NotPossible, adopt, create_again, forget, take_over
from containers.statuses import Status
from panel.models import User
from tests.cast import IMAGE, ContainerFactory

from .conftest import NUMBER, fresh, look, put

pytestmark = pytest.mark.django_db


def url(node: Node, number: int, name: str) -> str:
    return f"/nodes/{node.pk}/differences/{number}/{name}/"


@pytest.mark.parametrize("who", ["lena", "sten"])
def test_nobody_but_administrators_settles_anything(
    who: str,
    missing: Container,
    node: Node,
    client_of: Callable[[User], Client],
    request: pytest.FixtureRequest,
) -> None:
    put(node)
    look()
    person: User = request.getfixturevalue(who)
    for number, name in ((NUMBER, "adopt"), (missing.pk, "forget"), (missing.pk, "create_again")):
        data = {"customer": "lena", "name": missing.name}
        assert client_of(person).post(url(node, number, name), data).status_code == 404
        assert client_of(person).get(url(node, number, name)).status_code == 404
    for door in (forget, create_again, take_over):
        with pytest.raises(NotPossible, match="administrator"):
            door(node, missing.pk, by=person)
    with pytest.raises(NotPossible, match="administrator"):
        adopt(node, NUMBER, customer=person, name="mine", by=person)
    assert fresh(missing).status == Status.OFFLINE
    assert Container.objects.count() == 1


def test_a_stranger_is_sent_to_sign_in(node: Node, stray: int, client: Client) -> None:
    answer = client.post(url(node, stray, "adopt"), {"customer": "lena", "name": "old"})
    assert answer["Location"].startswith("/account/login/")


def test_a_missing_container_has_no_buttons_of_its_own(
    missing: Container, ada: User, as_ada: Client
) -> None:
    assert missing.actions_for(ada) == missing.actions_for(None) == []
    for name in ("given_up", "begun_again", "forget", "create_again"):
        answer = as_ada.post(
            f"/containers/{missing.pk}/act/",
            {"action": name, "confirmed": "yes", "name": missing.name},
        )
        assert answer.status_code == 409
    assert fresh(missing).status == Status.OFFLINE


def test_a_nodes_page_shows_what_differs_and_what_can_be_done(
    missing: Container, node: Node, as_ada: Client
) -> None:
    page = f"/nodes/{node.pk}/"
    seen = {"seen": as_ada.get(page).context["seen"]}
    put(node)
    look()
    answer = as_ada.get(page, seen, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    text = answer.content.decode()
    for number, name in ((NUMBER, "adopt"), (missing.pk, "forget"), (missing.pk, "create_again")):
        assert f'href="{url(node, number, name)}"' in text
    assert "Nothing is changed by itself" in text


def test_a_node_where_nothing_differs_says_nothing_of_it(
    container: Container, node: Node, as_ada: Client
) -> None:
    look()
    assert "Differences" not in as_ada.get(f"/nodes/{node.pk}/").content.decode()


def test_of_a_node_that_does_not_answer_nothing_is_offered(
    missing: Container, node: Node, as_ada: Client
) -> None:
    Node.objects.update(online=False)
    page = as_ada.get(f"/nodes/{node.pk}/").content.decode()
    assert "cannot be asked now" in page
    assert "/differences/" not in page
    answer = as_ada.post(url(node, missing.pk, "forget"), {"name": missing.name}, follow=True)
    assert "cannot be settled now" in answer.content.decode()
    assert fresh(missing).status == Status.OFFLINE


def test_the_page_asks_no_node(
    missing: Container, node: Node, as_ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: object) -> None:
        pytest.fail("a node was asked")

    for call in ("instance", "instances", "describe", "images", "resources"):
        monkeypatch.setattr(SimulatedDriver, call, hang)
    assert as_ada.get(f"/nodes/{node.pk}/").status_code == 200


@pytest.mark.parametrize("name", ["forget", "create_again"])
def test_what_will_happen_is_said_first_and_done_when_confirmed(
    name: str, missing: Container, node: Node, as_ada: Client
) -> None:
    question = as_ada.get(url(node, missing.pk, name))
    assert question.status_code == 200
    [difference] = differences_on(node)
    [action] = [action for action in difference.actions if action.name == name]
    assert action.warning in question.content.decode()
    assert fresh(missing).status == Status.OFFLINE
    answer = as_ada.post(url(node, missing.pk, name), {"name": missing.name}, follow=True)
    assert answer.redirect_chain == [(f"/nodes/{node.pk}/?differences=1", 302)]
    assert "web-01 is" in answer.content.decode()
    assert fresh(missing).status != Status.OFFLINE


def test_forgetting_wants_the_name_typed(missing: Container, node: Node, as_ada: Client) -> None:
    for typed in ({}, {"name": "web-02"}):
        answer = as_ada.post(url(node, missing.pk, "forget"), typed)
        assert answer.status_code == 422
        assert "That is something else" in answer.content.decode()
    assert fresh(missing).status == Status.OFFLINE


def test_taking_over_is_confirmed_on_the_page_of_the_node_that_has_it(
    moved: Container, other_node: Node, as_ada: Client
) -> None:
    where = url(other_node, moved.pk, "take_over")
    assert "Take over: web-01?" in as_ada.get(where).content.decode()
    as_ada.post(where)
    assert fresh(moved).node == other_node


def test_adopting_shows_what_it_is_and_asks_whose_it_is_to_be(
    node: Node, stray: int, lena: User, ada: User, as_ada: Client
) -> None:
    page = as_ada.get(url(node, stray, "adopt")).content.decode()
    for words in ("2 cores", "2 GB", "30 GB", IMAGE, 'value="old"'):
        assert words in page
    wrong = as_ada.post(url(node, stray, "adopt"), {"customer": "nemo", "name": "Old!"})
    assert wrong.status_code == 422
    assert set(wrong.context["form"].errors) == {"customer", "name"}
    data = {"customer": "lena", "name": "old"}
    answer = as_ada.post(url(node, stray, "adopt"), data, follow=True)
    assert "ct-977 is the container old of Lena Fischer now." in answer.content.decode()
    assert Container.objects.get().changes.get().by == ada


def test_what_is_adopted_may_be_called_like_what_is_gone_and_like_what_somebody_else_has(
    node: Node, stray: int, lena: User, omar: User, as_ada: Client
) -> None:
    ContainerFactory.create(customer=lena, name="old", status=Status.DESTROYED)
    ContainerFactory.create(customer=omar, name="old", node=node)
    as_ada.post(url(node, stray, "adopt"), {"customer": "lena", "name": "old"})
    assert Container.objects.get(pk=stray).customer == lena


def test_a_name_in_use_is_refused_beside_the_field(
    node: Node, stray: int, container: Container, as_ada: Client
) -> None:
    data = {"customer": "lena", "name": "web-01"}
    answer = as_ada.post(url(node, stray, "adopt"), data)
    assert "already has a container of this name" in answer.context["form"].errors["name"][0]


def test_what_cannot_be_done_leads_back_with_a_sentence_out_of_the_dialog_too(
    node: Node, stray: int, as_ada: Client
) -> None:
    simulated(node).set_faults(Faults(unplugged=True))
    plain = as_ada.get(url(node, stray, "adopt"), follow=True)
    assert "node-a cannot be asked now" in plain.content.decode()
    dialog = as_ada.get(url(node, stray, "adopt"), headers={"HX-Request": "true"})
    assert dialog["HX-Redirect"] == f"/nodes/{node.pk}/?differences=1"


def test_whatever_comes_of_it_leads_back_to_the_page_that_it_is_on(
    node: Node, stray: int, as_ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("containers.views.nodes.ROWS_PER_PAGE", 1)
    monkeypatch.setattr("containers.views.differences.ROWS_PER_PAGE", 1)
    put(node, stray + 1)
    look()
    second = f"/nodes/{node.pk}/?differences=2"
    assert f'id="difference-{stray + 1}"' in as_ada.get(second).content.decode()
    where = url(node, stray + 1, "adopt")
    assert f'href="{second}" data-close' in as_ada.get(where).content.decode()
    data = {"customer": "lena", "name": "old"}
    simulated(node).set_faults(Faults(unplugged=True))
    assert as_ada.post(where, data)["Location"] == second
    simulated(node).set_faults(Faults())
    assert as_ada.post(where, data | {"customer": "ada"})["Location"] == second
    assert f'id="difference-{stray}"' in as_ada.get(second).content.decode()


def test_a_replayed_form_is_told_that_it_is_settled(
    missing: Container, node: Node, as_ada: Client
) -> None:
    for _ in range(2):
        answer = as_ada.post(url(node, missing.pk, "forget"), {"name": "web-01"}, follow=True)
    assert "settled already" in answer.content.decode()
    assert as_ada.post(url(node, 10**30, "adopt"), follow=True).status_code == 200
    assert missing.changes.filter(to_status=Status.DESTROYED).count() == 1


def test_where_something_differs_shows_on_the_dashboard_and_in_the_list(
    missing: Container, node: Node, other_node: Node, as_ada: Client, as_sten: Client
) -> None:
    put(node)
    put(other_node, missing.pk + 7, by_hand=True)
    look()
    assert "2 differences to be settled" in as_ada.get("/nodes/").content.decode()
    dashboard = as_ada.get("/")
    assert [(name, count) for name, _, count in dashboard.context["differing"]] == [
        ("node-a", 2), ("node-b", 1)
    ]  # fmt: skip
    assert as_sten.get("/").context["differing"] == []


def test_one_that_has_taken_the_place_of_another_is_one_difference(
    missing: Container, node: Node
) -> None:
    put(node, missing.pk, by_hand=True)
    look()
    assert counts_on([node]) == {node.pk: len(differences_on(node))} == {node.pk: 1}
