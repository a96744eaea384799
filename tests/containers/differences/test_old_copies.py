"""What a move leaves when it is given up is removed by whoever asks for it, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from django.test import Client

from containers import operations
from containers.connect import spec_of
from containers.differences import differences_on
from containers.drivers import Power
from containers.drivers.simulated import Faults
from containers.models import Container, Node
from containers.settling import NotPossible, leftovers, remove_copy
from containers.statuses import Status
from panel.models import User
from tests.cast import ContainerFactory, OperationFactory, power_of, set_pace
from tests.conftest import Worker
from tests.containers.acts import ask_and_wait
from tests.containers.test_concurrency import all_at_once
from tests.tampering import simulated

from .conftest import fresh, has_moved, look, put, strays, told

pytestmark = pytest.mark.django_db


@pytest.fixture
def left_over(container: Container, other_node: Node) -> Container:
    """Lena's, whole on its node, with a whole copy on the node that it was to move to."""
    has_moved(container, other_node, outcome="failed")
    simulated(other_node).seed(spec_of(container))
    look()
    return fresh(container)


def test_the_copy_goes_and_the_container_stays(
    left_over: Container, node: Node, other_node: Node, ada: User
) -> None:
    name = left_over.instance_name
    assert told(other_node) == [(name, True, ["remove_copy"])]
    remove_copy(other_node, left_over.pk, by=ada)
    assert simulated(other_node).instance(name) is None
    assert power_of(left_over) is Power.STOPPED
    assert (fresh(left_over).status, fresh(left_over).node) == (Status.STOPPED, node)
    change = left_over.changes.latest("pk")
    assert (change.from_status, change.to_status, change.by) == ("stopped", "stopped", ada)
    assert change.because == "asked to remove the old copy on node node-b"
    look()
    assert told(other_node) == []


def test_a_node_that_refuses_to_remove_it_has_it_still_and_nothing_says_otherwise(
    left_over: Container, other_node: Node, ada: User
) -> None:
    simulated(other_node).set_faults(Faults(failing=True))
    with pytest.raises(NotPossible, match="node-b refuses"):
        remove_copy(other_node, left_over.pk, by=ada)
    assert simulated(other_node).instance(left_over.instance_name)
    assert left_over.changes.latest("pk").because.startswith("asked to remove")


def test_it_can_be_moved_there_again_afterwards(
    left_over: Container, other_node: Node, ada: User
) -> None:
    remove_copy(other_node, left_over.pk, by=ada)
    assert operations.request(left_over.pk, "migrate", by=ada, target=other_node.pk)


def test_it_wants_the_name_typed(left_over: Container, other_node: Node, as_ada: Client) -> None:
    url = f"/nodes/{other_node.pk}/differences/{left_over.pk}/remove_copy/"
    assert "Remove this copy" in as_ada.get(f"/nodes/{other_node.pk}/").content.decode()
    assert as_ada.post(url, {"name": "web-02"}).status_code == 422
    assert simulated(other_node).instance(left_over.instance_name)
    answer = as_ada.post(url, {"name": "web-01"}, follow=True)
    assert "is being deleted" in answer.content.decode()
    assert simulated(other_node).instance(left_over.instance_name) is None


def test_what_may_be_all_there_is_of_it_stays(
    left_over: Container, node: Node, other_node: Node, ada: User
) -> None:
    simulated(node).lose(left_over.instance_name)
    with pytest.raises(NotPossible, match="this is all there is of it"):
        remove_copy(other_node, left_over.pk, by=ada)
    simulated(node).set_faults(Faults(unplugged=True))
    with pytest.raises(NotPossible, match="node-a cannot be asked now"):
        remove_copy(other_node, left_over.pk, by=ada)
    assert simulated(other_node).instance(left_over.instance_name)


def test_what_runs_stays(left_over: Container, other_node: Node, ada: User) -> None:
    simulated(other_node).power(left_over.instance_name, Power.RUNNING)
    with pytest.raises(NotPossible, match="runs on node node-b"):
        remove_copy(other_node, left_over.pk, by=ada)
    assert simulated(other_node).instance(left_over.instance_name)


def test_what_was_made_by_hand_stays(container: Container, other_node: Node, ada: User) -> None:
    put(other_node, container.pk, by_hand=True)
    look()
    with pytest.raises(NotPossible, match="made by hand"):
        remove_copy(other_node, container.pk, by=ada)
    assert container.instance_name in simulated(other_node).instances()


def test_what_was_made_for_another_container_of_its_number_stays(
    container: Container, other_node: Node, ada: User
) -> None:
    has_moved(container, other_node, outcome="failed")
    spec = spec_of(container)
    simulated(other_node).seed(replace(spec, labels=dict.fromkeys(spec.labels, "another")))
    look()
    with pytest.raises(NotPossible, match="for another one"):
        remove_copy(other_node, container.pk, by=ada)
    assert simulated(other_node).instance(container.instance_name)


def test_the_container_itself_is_no_copy(left_over: Container, node: Node, ada: User) -> None:
    with pytest.raises(NotPossible, match="on another node"):
        remove_copy(node, left_over.pk, by=ada)
    assert power_of(left_over) is Power.STOPPED


def test_what_is_left_of_one_that_was_destroyed_since_is_no_copy(
    left_over: Container, other_node: Node, ada: User, worker: Worker
) -> None:
    ask_and_wait(left_over, "destroy", worker, by=ada)
    with pytest.raises(NotPossible, match="does not have web-01 on another node"):
        remove_copy(other_node, left_over.pk, by=ada)
    assert simulated(other_node).instance(left_over.instance_name)


def test_while_it_is_worked_on_its_copy_stays(
    left_over: Container, other_node: Node, ada: User
) -> None:
    operations.request(left_over.pk, "start", by=ada)
    assert told(other_node) == [(left_over.instance_name, True, [])]
    with pytest.raises(NotPossible, match="Booting now"):
        remove_copy(other_node, left_over.pk, by=ada)
    assert simulated(other_node).instance(left_over.instance_name)
    assert strays() == [("node-b", left_over.pk)]
    assert not left_over.changes.filter(because__contains="to remove").exists()


def test_what_is_moved_there_again_meanwhile_is_no_old_copy(
    left_over: Container, other_node: Node, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def moves(container: Container, by: User, because: str) -> None:
        operations.request(container.pk, "migrate", by=by, target=other_node.pk)

    monkeypatch.setattr(leftovers, "_add_history", moves)
    with pytest.raises(NotPossible, match="Migrating now"):
        remove_copy(other_node, left_over.pk, by=ada)
    assert simulated(other_node).instance(left_over.instance_name)


def test_a_deletion_that_takes_its_time_is_not_waited_for(
    left_over: Container, other_node: Node, ada: User
) -> None:
    set_pace(other_node, 100)
    assert "is being deleted" in remove_copy(other_node, left_over.pk, by=ada)


def test_nobody_but_administrators_removes_one(
    left_over: Container, other_node: Node, lena: User
) -> None:
    with pytest.raises(NotPossible, match="administrator"):
        remove_copy(other_node, left_over.pk, by=lena)


def test_of_two_who_remove_it_at_the_same_moment_one_does(
    left_over: Container, other_node: Node, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other could meet what has been moved there since."""
    real = leftovers._check_left_over

    def overtaken(node: Node, container: Container) -> None:
        real(node, container)
        monkeypatch.setattr(leftovers, "_check_left_over", real)
        remove_copy(other_node, left_over.pk, by=ada)

    monkeypatch.setattr(leftovers, "_check_left_over", overtaken)
    with pytest.raises(NotPossible, match="settled already"):
        remove_copy(other_node, left_over.pk, by=ada)
    assert left_over.changes.filter(because__contains="to remove").count() == 1


def test_a_container_that_has_come_there_itself_meanwhile_is_no_copy(
    left_over: Container, node: Node, other_node: Node, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = leftovers._check_left_over

    def overtaken(at: Node, container: Container) -> None:
        real(at, container)
        monkeypatch.setattr(leftovers, "_check_left_over", real)
        monkeypatch.setattr(leftovers, "_add_history", moved)

    def moved(container: Container, by: User, because: str) -> None:
        list(simulated(other_node).delete(container.instance_name))
        list(simulated(node).move(container.instance_name, simulated(other_node)))
        Container.objects.filter(pk=container.pk).update(node=other_node)

    monkeypatch.setattr(leftovers, "_check_left_over", overtaken)
    with pytest.raises(NotPossible, match="on another node"):
        remove_copy(other_node, left_over.pk, by=ada)
    assert simulated(other_node).instance(left_over.instance_name)


@pytest.mark.parametrize("made_anew", [True, False])
def test_what_no_move_has_left_may_be_the_container_itself(
    made_anew: bool, container: Container, node: Node, other_node: Node, ada: User
) -> None:
    """It was made anew here, while the node that it had moved to was taken for dead; the moves of
    others tell nothing of it."""
    other = ContainerFactory.create(customer=container.customer, node=node)
    has_moved(other, other_node, outcome="failed")
    if made_anew:
        has_moved(container, other_node, outcome="done")
        was = {"kind": "create", "was": "ordered", "during": "creating"}
        OperationFactory.create(container=container, node=node, outcome="done", **was)
    simulated(other_node).seed(spec_of(container))
    look()
    assert told(other_node) == [(container.instance_name, True, [])]
    assert "may be the right one" in differences_on(other_node)[0].text
    with pytest.raises(NotPossible, match="may be the right one"):
        remove_copy(other_node, container.pk, by=ada)
    assert simulated(other_node).instance(container.instance_name)


@pytest.mark.django_db(transaction=True)
def test_of_many_who_remove_it_at_once_one_does(
    left_over: Container, other_node: Node, ada: User
) -> None:
    results = all_at_once([partial(remove_copy, other_node, left_over.pk, by=ada)] * 4)
    assert sum(isinstance(result, str) for result in results) == 1
    assert sum(isinstance(result, NotPossible) for result in results) == 3
    assert power_of(left_over) is Power.STOPPED
