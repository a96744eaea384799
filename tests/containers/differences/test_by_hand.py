"""What somebody made on a node itself is left alone until an administrator makes it the panel's."""

from __future__ import annotations

import pytest
from django.test import Client

from containers import operations
from containers.differences import differences_on
from containers.drivers import NoSuchInstance, Power
from containers.models import Container, Node, Stray
from containers.settling import NotPossible, adopt, create_again, take_over
from containers.statuses import Status
from panel.models import User
from tests.cast import ContainerFactory, power_of
from tests.conftest import Worker
from tests.tampering import simulated

from .conftest import NUMBER, fresh, look, put, strays, told

pytestmark = pytest.mark.django_db


@pytest.fixture
def made_by_hand(node: Node) -> int:
    put(node, by_hand=True)
    look()
    return NUMBER


@pytest.fixture
def replaced(container: Container, node: Node) -> Container:
    """Lena's, deleted on its node, where somebody has made another of its name."""
    simulated(node).lose(container.instance_name)
    put(node, container.pk, by_hand=True)
    look()
    return fresh(container)


def test_it_is_seen_as_what_it_is_and_left_alone(
    made_by_hand: int, node: Node, as_ada: Client
) -> None:
    before = simulated(node).journal()
    look()
    assert told(node) == [("ct-977", True, ["adopt"])]
    assert "Made by hand" in as_ada.get(f"/nodes/{node.pk}/").content.decode()
    assert simulated(node).journal() == before
    assert simulated(node).instances()["ct-977"].by_hand


def test_one_that_bears_the_name_of_a_container_leads_to_that_container_s_node(
    container: Container, other_node: Node
) -> None:
    put(other_node, container.pk, by_hand=True)
    look()
    (difference,) = differences_on(other_node)
    assert difference.text == "It is another one. The container of this name is on:"
    assert (difference.elsewhere, difference.actions) == (container.node, ())


def test_nothing_reaches_it_before_it_is_adopted(made_by_hand: int, node: Node, lena: User) -> None:
    container = ContainerFactory.create(
        pk=made_by_hand, customer=lena, node=node, status=Status.STOPPED, on_node=False
    )
    with pytest.raises(NoSuchInstance):
        list(simulated(node).start(container.instance_name))
    list(simulated(node).delete(container.instance_name))
    assert simulated(node).instances()["ct-977"].by_hand


def test_a_creation_that_meets_it_fails_and_leaves_it_as_it_is(
    node: Node, lena: User, ada: User, worker: Worker
) -> None:
    ordered = ContainerFactory.create(customer=lena, status=Status.ORDERED)
    put(node, ordered.pk, Power.RUNNING, by_hand=True)
    before = simulated(node).journal()
    operations.request(ordered.pk, "create", by=ada)
    worker.carry_out_all()
    assert (fresh(ordered).status, fresh(ordered).node) == (Status.ORDERED, None)
    assert fresh(ordered).problem
    assert simulated(node).journal() == before
    assert simulated(node).instances()[ordered.instance_name].power is Power.RUNNING
    look()
    assert told(node) == [(ordered.instance_name, True, [])]


def test_adopted_it_is_the_panels(
    made_by_hand: int, node: Node, lena: User, ada: User, as_lena: Client, worker: Worker
) -> None:
    adopt(node, made_by_hand, customer=lena, name="old", by=ada)
    assert not simulated(node).instances()["ct-977"].by_hand
    look()
    assert strays() == []
    as_lena.post(f"/containers/{made_by_hand}/act/", {"action": "start"})
    worker.carry_out_all()
    assert power_of(Container.objects.get()) is Power.RUNNING


def test_the_question_says_that_it_will_be_marked(
    made_by_hand: int, node: Node, as_ada: Client
) -> None:
    page = as_ada.get(f"/nodes/{node.pk}/differences/{made_by_hand}/adopt/").content.decode()
    assert "made by hand and is marked" in page
    assert simulated(node).instances()["ct-977"].by_hand


def test_an_adoption_that_came_no_further_than_the_mark_is_done_the_next_time(
    made_by_hand: int, container: Container, node: Node, lena: User, ada: User
) -> None:
    with pytest.raises(NotPossible, match="already has a container called web-01"):
        adopt(node, made_by_hand, customer=lena, name="web-01", by=ada)
    look()
    assert told(node) == [("ct-977", True, ["adopt"])]
    assert not Stray.objects.get().by_hand
    adopt(node, made_by_hand, customer=lena, name="old", by=ada)
    assert told(node) == []


def test_what_took_the_place_of_a_container_is_not_taken_for_it(
    replaced: Container, node: Node, ada: User
) -> None:
    assert (replaced.status, replaced.missing) == (Status.OFFLINE, True)
    assert told(node) == [(replaced.instance_name, True, ["take_over"])]
    [difference] = differences_on(node)
    assert difference.by_hand
    assert difference.elsewhere is None
    with pytest.raises(NotPossible, match="take it over"):
        create_again(node, replaced.pk, by=ada)


def test_what_took_the_place_of_a_container_can_be_taken_over(
    replaced: Container, node: Node, ada: User
) -> None:
    take_over(node, replaced.pk, by=ada)
    assert (fresh(replaced).status, fresh(replaced).missing) == (Status.STOPPED, False)
    assert replaced.changes.latest("pk").because == "taken over: it was made by hand"
    look()
    assert told(node) == []
    with pytest.raises(NotPossible, match="nothing to be settled"):
        take_over(node, replaced.pk, by=ada)


def test_one_that_bears_the_name_of_a_container_elsewhere_is_only_shown(
    node: Node, other_node: Node, lena: User
) -> None:
    elsewhere = ContainerFactory.create(customer=lena, node=other_node)
    put(node, elsewhere.pk, by_hand=True)
    look()
    assert told(node) == [(elsewhere.instance_name, True, [])]
    assert told(other_node) == []
