"""What a node lost, or another one has: taken over, forgotten, created again, once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from containers.connect import simulated, spec_of
from containers.drivers import Power
from containers.drivers.simulated import Faults, SimulatedDriver
from containers.models import Container, Node, Operation
from containers.settling import NotPossible, adopt, create_again, forget, take_over
from containers.settling import missing as missing_door
from containers.statuses import Status
from panel.models import User
from tests.cast import (
    ContainerFactory,
    NodeFactory,
    UserFactory,
    effects_on,
    power_of,
    room_on,
)
from tests.conftest import JustThen, Worker
from tests.containers.test_concurrency import all_at_once

from .conftest import NUMBER, fresh, look, put, strays, told

pytestmark = pytest.mark.django_db


# --- take over -----------------------------------------------------------------------------------


def test_what_another_node_has_is_taken_over_there(
    moved: Container, node: Node, other_node: Node, ada: User
) -> None:
    assert told(node) == [(moved.instance_name, False, [])]
    assert told(other_node) == [(moved.instance_name, True, ["take_over"])]
    take_over(other_node, moved.pk, by=ada)
    here = fresh(moved)
    assert (here.node, here.status, here.missing) == (other_node, Status.RUNNING, False)
    assert (here.problem, here.address != "") == ("", True)
    change = moved.changes.latest("pk")
    assert (change.from_status, change.to_status, change.by) == ("offline", "running", ada)
    assert change.because == "taken over: node node-a does not have it"
    look()
    assert told(node) == told(other_node) == []
    assert fresh(moved).status == Status.RUNNING


def test_what_else_a_node_has_stays_noted_when_something_there_is_taken_over(
    moved: Container, other_node: Node, ada: User
) -> None:
    put(other_node)
    look()
    take_over(other_node, moved.pk, by=ada)
    assert strays() == [("node-b", NUMBER)]


def test_it_is_not_taken_over_where_its_own_node_has_it_again(
    moved: Container, node: Node, other_node: Node, ada: User
) -> None:
    simulated(node).seed(spec_of(moved))
    with pytest.raises(NotPossible, match="Node node-a has web-01 again"):
        take_over(other_node, moved.pk, by=ada)
    assert fresh(moved).node == node


def test_it_is_not_taken_over_while_its_own_node_cannot_be_asked(
    moved: Container, node: Node, other_node: Node, ada: User, settings: Any
) -> None:
    simulated(node).set_faults(Faults(unplugged=True))
    with pytest.raises(NotPossible, match="node-a cannot be asked now"):
        take_over(other_node, moved.pk, by=ada)
    settings.MISSES_UNTIL_OFFLINE = 1
    look()
    assert told(other_node) == [(moved.instance_name, True, [])]
    with pytest.raises(NotPossible, match="node-a does not answer"):
        take_over(other_node, moved.pk, by=ada)
    assert fresh(moved).node == node


def test_it_is_not_taken_over_to_a_node_that_counts_as_off_line(
    moved: Container, other_node: Node, ada: User
) -> None:
    Node.objects.filter(pk=other_node.pk).update(online=False)
    with pytest.raises(NotPossible, match="is off-line"):
        take_over(other_node, moved.pk, by=ada)
    moved.refresh_from_db()
    assert moved.status == Status.OFFLINE


def test_it_is_not_taken_over_twice_nor_where_it_is_not(
    moved: Container, node: Node, other_node: Node, ada: User
) -> None:
    elsewhere = NodeFactory.create(name="node-c")
    with pytest.raises(NotPossible, match="node-c does not have"):
        take_over(elsewhere, moved.pk, by=ada)
    take_over(other_node, moved.pk, by=ada)
    with pytest.raises(NotPossible, match="Running now"):
        take_over(other_node, moved.pk, by=ada)
    assert moved.changes.count() == 2


@pytest.mark.parametrize("door", [forget, create_again])
def test_what_another_node_has_is_neither_forgotten_nor_created_again(
    door: Callable[..., str], moved: Container, node: Node, ada: User
) -> None:
    with pytest.raises(NotPossible, match="Node node-b has web-01: take it over there"):
        door(node, moved.pk, by=ada)
    assert fresh(moved).status == Status.OFFLINE


@pytest.mark.parametrize("door", [forget, create_again])
def test_it_is_given_up_on_its_own_node_alone(
    door: Callable[..., str], missing: Container, other_node: Node, ada: User
) -> None:
    with pytest.raises(NotPossible, match="web-01 is not on node node-b any more"):
        door(other_node, missing.pk, by=ada)
    assert fresh(missing).status == Status.OFFLINE


@pytest.mark.parametrize("door", [forget, create_again])
@pytest.mark.parametrize("what", ["unfinished", "another", "of another number"])
def test_what_is_not_the_whole_of_it_elsewhere_keeps_nobody_from_giving_it_up(
    door: Callable[..., str],
    what: str,
    missing: Container,
    node: Node,
    other_node: Node,
    ada: User,
) -> None:
    number = NUMBER if what == "of another number" else missing.pk
    other_node.strays.create(
        number=number, unfinished=what == "unfinished", another=what == "another"
    )
    door(node, missing.pk, by=ada)
    assert not fresh(missing).missing


# --- forget --------------------------------------------------------------------------------------


def test_what_is_forgotten_counts_as_destroyed_and_its_record_stays(
    missing: Container, node: Node, ada: User
) -> None:
    forget(node, missing.pk, by=ada)
    gone = fresh(missing)
    assert (gone.status, gone.node, gone.address) == (Status.DESTROYED, None, "")
    assert (gone.problem, gone.missing, gone.operation) == ("", False, None)
    change = missing.changes.latest("pk")
    assert (change.from_status, change.to_status, change.by) == ("offline", "destroyed", ada)
    assert change.because == "forgotten, as node node-a does not have it"
    assert told(node) == []
    assert room_on(node).memory_promised == 0


@pytest.mark.parametrize("door", [forget, create_again])
def test_what_its_node_has_again_is_kept(
    door: Callable[..., str], missing: Container, node: Node, ada: User
) -> None:
    simulated(node).seed(spec_of(missing))
    with pytest.raises(NotPossible, match="Node node-a has web-01 again"):
        door(node, missing.pk, by=ada)
    look()
    with pytest.raises(NotPossible, match="web-01 is Stopped now"):
        door(node, missing.pk, by=ada)
    assert fresh(missing).status == Status.STOPPED
    assert not Operation.objects.exists()


@pytest.mark.parametrize("door", [forget, create_again])
def test_what_the_watcher_finds_meanwhile_is_kept(
    door: Callable[..., str],
    missing: Container,
    node: Node,
    ada: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = SimulatedDriver.instance

    def instance(self: SimulatedDriver, name: str) -> Any:
        seen = real(self, name)
        monkeypatch.setattr(SimulatedDriver, "instance", real)
        self.seed(spec_of(missing), Power.RUNNING)
        look()
        return seen

    monkeypatch.setattr(SimulatedDriver, "instance", instance)
    with pytest.raises(NotPossible, match="web-01 is Running now"):
        door(node, missing.pk, by=ada)
    assert fresh(missing).status == Status.RUNNING


@pytest.mark.parametrize("door", [forget, create_again])
def test_nothing_is_given_up_while_its_node_cannot_be_asked(
    door: Callable[..., str], missing: Container, node: Node, ada: User, settings: Any
) -> None:
    simulated(node).set_faults(Faults(unplugged=True))
    with pytest.raises(NotPossible, match="node-a cannot be asked now"):
        door(node, missing.pk, by=ada)
    settings.MISSES_UNTIL_OFFLINE = 1
    look()
    assert told(node) == [(missing.instance_name, False, [])]
    with pytest.raises(NotPossible, match="node-a does not answer"):
        door(node, missing.pk, by=ada)
    assert fresh(missing).status == Status.OFFLINE


def test_forgetting_twice_forgets_once(missing: Container, node: Node, ada: User) -> None:
    forget(node, missing.pk, by=ada)
    for door in (forget, create_again):
        with pytest.raises(NotPossible):
            door(node, missing.pk, by=ada)
    assert missing.changes.filter(to_status=Status.DESTROYED).count() == 1


@pytest.mark.parametrize("status", [s for s in Status if s != Status.OFFLINE])
def test_only_what_is_missing_can_be_given_up(
    status: Status, node: Node, lena: User, ada: User
) -> None:
    fields = {} if status in {Status.ORDERED, Status.DESTROYED} else {"node": node}
    container = ContainerFactory.create(customer=lena, status=status, on_node=False, **fields)
    operations = Operation.objects.count()
    for door in (forget, create_again, take_over):
        with pytest.raises(NotPossible):
            door(node, container.pk, by=ada)
    assert fresh(container).status == status
    assert Operation.objects.count() == operations


# --- create again --------------------------------------------------------------------------------


def test_what_is_created_again_is_made_anew_on_its_node(
    missing: Container, node: Node, other_node: Node, ada: User, worker: Worker
) -> None:
    Container.objects.update(create_tries=5)
    create_again(node, missing.pk, by=ada)
    creating = fresh(missing)
    assert (creating.status, creating.node, creating.missing) == (Status.CREATING, node, False)
    assert (creating.problem, creating.create_tries) == ("", 0)
    operation = creating.operation
    assert operation is not None
    assert (operation.kind, operation.node, operation.asked_by) == ("create", node, ada)
    change = missing.changes.latest("pk")
    assert (change.by, change.operation) == (ada, operation)
    assert change.because == "created again, as node node-a does not have it"
    worker.carry_out_all()
    made = fresh(missing)
    assert (made.status, made.node, made.problem) == (Status.STOPPED, node, "")
    assert power_of(made) is Power.STOPPED
    assert effects_on(node, of=made) == ["created", "deleted", "created"]


def test_creating_again_twice_creates_once(
    missing: Container, node: Node, ada: User, worker: Worker
) -> None:
    create_again(node, missing.pk, by=ada)
    with pytest.raises(NotPossible, match="web-01 is Creating now"):
        create_again(node, missing.pk, by=ada)
    worker.carry_out_all()
    assert Operation.objects.count() == 1


def test_where_its_image_is_gone_it_is_not_created_again(
    missing: Container, node: Node, other_node: Node, ada: User
) -> None:
    node.images.all().delete()
    with pytest.raises(NotPossible, match="does not have Debian 12"):
        create_again(node, missing.pk, by=ada)
    assert fresh(missing).status == Status.OFFLINE


def test_on_a_node_that_goes_off_line_meanwhile_nothing_is_created_again(
    missing: Container, node: Node, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = missing_door._locked_while_gone

    def lost_meanwhile(container: Container) -> Container:
        fresh = real(container)
        Node.objects.update(online=False)
        return fresh

    monkeypatch.setattr(missing_door, "_locked_while_gone", lost_meanwhile)
    with pytest.raises(NotPossible, match="is off-line"):
        create_again(node, missing.pk, by=ada)
    assert fresh(missing).status == Status.OFFLINE


def test_a_second_creation_that_fails_is_tried_again_like_a_first(
    missing: Container, node: Node, ada: User, worker: Worker
) -> None:
    simulated(node).set_faults(Faults(failing=True))
    create_again(node, missing.pk, by=ada)
    worker.carry_out_all()
    failed = fresh(missing)
    assert (failed.status, failed.node) == (Status.ORDERED, None)
    assert failed.create_again_at is not None
    assert failed.problem


# --- at once -----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_many_who_adopt_at_once_one_does(node: Node, stray: int, ada: User) -> None:
    customers = [UserFactory.create() for _ in range(6)]
    results = all_at_once(
        [
            partial(adopt, node, stray, customer=customer, name="old", by=ada)
            for customer in customers
        ]
    )
    assert sum(isinstance(result, str) for result in results) == 1
    assert sum(isinstance(result, NotPossible) for result in results) == 5
    assert Container.objects.get().changes.count() == 1
    assert ContainerFactory.create(on_node=False).pk > stray


@pytest.mark.django_db(transaction=True)
def test_of_different_wishes_at_once_one_is_granted(
    missing: Container, node: Node, ada: User
) -> None:
    wishes = [forget, create_again] * 3
    results = all_at_once([partial(wish, node, missing.pk, by=ada) for wish in wishes])
    assert sum(isinstance(result, str) for result in results) == 1
    assert sum(isinstance(result, NotPossible) for result in results) == 5
    assert missing.changes.count() == 2
    assert Operation.objects.count() == (fresh(missing).status == Status.CREATING)


@pytest.mark.django_db(transaction=True)
def test_what_somebody_forgets_nobody_creates_again_just_then(
    missing: Container, node: Node, ada: User, just_then: JustThen
) -> None:
    again = partial(create_again, node, missing.pk, by=ada)
    other = just_then(missing_door, "_locked_while_gone", again)
    forget(node, missing.pk, by=ada)
    with pytest.raises(NotPossible, match="nothing to be settled"):
        other()
    assert fresh(missing).status == Status.DESTROYED
    assert not Operation.objects.exists()
