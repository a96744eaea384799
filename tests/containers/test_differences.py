"""Where database and node disagree: it is seen, shown, and settled by an administrator only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from containers import settling
from containers.connect import simulated
from containers.differences import differences_on
from containers.drivers import Power, Spec
from containers.drivers.simulated import Faults, SimulatedDriver
from containers.models import Container, Node, Operation, Stray
from containers.models.stray import reserve
from containers.observe import Watcher, found, look_at
from containers.settling import NotPossible, adopt, create_again, forget, take_over
from containers.statuses import TRANSIENT, Status
from panel.models import User
from tests.cast import (
    IMAGE,
    ContainerFactory,
    NodeFactory,
    effects_on,
    power_of,
    room_on,
    spec_of,
)
from tests.conftest import Worker

pytestmark = pytest.mark.django_db

NUMBER = 977


def look() -> None:
    """A beat of the watcher."""
    watcher = Watcher()
    watcher.ask()
    watcher.collect(seconds=10)


def fresh(container: Container) -> Container:
    return Container.objects.get(pk=container.pk)


def put(node: Node, number: int = NUMBER, power: Power = Power.STOPPED, **spec: Any) -> None:
    """An instance that nobody told the panel about."""
    is_what: dict[str, Any] = {
        "hostname": "old.example.com", "image": IMAGE, "cpus": 2, "memory_mb": 2048, "disk_gb": 30,
    }  # fmt: skip
    simulated(node).seed(Spec(f"ct-{number}", **(is_what | spec)), power)


def move_by_hand(container: Container, target: Node, power: Power = Power.STOPPED) -> None:
    """As if somebody had moved it on the nodes themselves."""
    assert container.node is not None
    simulated(container.node).lose(container.instance_name)
    simulated(target).seed(spec_of(container), power)


def strays() -> list[tuple[str, int]]:
    return list(Stray.objects.order_by("node__name", "number").values_list("node__name", "number"))


def told(node: Node) -> list[tuple[str, bool, list[str]]]:
    """What the page of a node says: the name, whether the node has it, what can be done."""
    node.refresh_from_db()
    return [
        (each.name, each.is_here, [action.name for action in each.actions])
        for each in differences_on(node)
    ]


@pytest.fixture
def stray(node: Node) -> int:
    """The number of an instance on `node` that the database does not know."""
    put(node)
    look()
    return NUMBER


@pytest.fixture
def missing(container: Container, node: Node) -> Container:
    """Lena's, of which its node knows nothing any more."""
    simulated(node).lose(container.instance_name)
    look()
    return fresh(container)


# --- seen --------------------------------------------------------------------------------------


def test_what_the_database_does_not_know_is_seen_and_nothing_is_done_about_it(
    container: Container, node: Node, other_node: Node
) -> None:
    put(node)
    put(other_node, 978, Power.RUNNING)
    before = simulated(node).journal()
    look()
    look()
    assert strays() == [("node-a", 977), ("node-b", 978)]
    assert simulated(node).journal() == before
    assert not Container.objects.exclude(pk=container.pk).exists()


@pytest.mark.parametrize("name", ["web-1", "ct-", "ct-0", "ct-07", "ct-1x", "ct-" + 13 * "9"])
def test_what_does_not_bear_a_number_of_the_panels_is_none_of_its_business(
    name: str, node: Node
) -> None:
    assert Stray.number_of(name) is None
    assert Stray.number_of("ct-7") == 7


def test_it_is_forgotten_again_once_it_is_gone_from_the_node(node: Node, stray: int) -> None:
    simulated(node).lose("ct-977")
    look()
    assert strays() == []


def test_what_a_node_had_is_kept_while_it_does_not_answer(node: Node, stray: int) -> None:
    simulated(node).set_faults(Faults(unplugged=True))
    look()
    assert strays() == [("node-a", stray)]


def test_a_quiet_look_writes_nothing_about_differences(
    container: Container, node: Node, stray: int
) -> None:
    since = Stray.objects.get().since
    look()
    assert Stray.objects.get().since == since


@pytest.mark.parametrize("status", sorted(TRANSIENT))
def test_work_under_way_makes_no_difference(
    status: Status, node: Node, other_node: Node, lena: User
) -> None:
    container = ContainerFactory.create(customer=lena, node=node, status=status)
    simulated(node).seed(spec_of(container))
    Operation.objects.update(target=other_node if status == Status.MIGRATING else None)
    if status == Status.MIGRATING:
        simulated(other_node).seed(spec_of(container))
    look()
    assert strays() == []
    assert told(node) == told(other_node) == []


def test_what_was_destroyed_or_moved_since_the_question_was_asked_is_no_difference(
    container: Container, node: Node, other_node: Node, ada: User, worker: Worker
) -> None:
    from containers import operations

    going = ContainerFactory.create(node=node)
    seen = look_at(node)
    operations.request(container.pk, "migrate", by=ada)
    operations.request(going.pk, "destroy", by=ada)
    worker.carry_out_all()
    found(node, seen)
    assert strays() == []


def test_a_container_that_its_node_does_not_have_is_missing(missing: Container, node: Node) -> None:
    assert (missing.status, missing.missing) == (Status.OFFLINE, True)
    assert told(node) == [(missing.instance_name, False, ["create_again", "forget"])]


def test_a_missing_container_that_turns_up_again_is_as_it_was(
    missing: Container, node: Node
) -> None:
    simulated(node).seed(spec_of(missing), Power.RUNNING)
    look()
    assert (fresh(missing).status, fresh(missing).missing) == (Status.RUNNING, False)
    assert missing.changes.latest("pk").because == "node node-a has it again"
    assert told(node) == []


def test_one_that_is_gone_when_its_node_is_back_is_missing_then(
    container: Container, node: Node, settings: Any
) -> None:
    settings.MISSES_UNTIL_OFFLINE = 1
    simulated(node).set_faults(Faults(unplugged=True))
    look()
    assert told(node) == []
    simulated(node).lose(container.instance_name)
    simulated(node).set_faults(Faults())
    look()
    assert told(node) == [(container.instance_name, False, ["create_again", "forget"])]


def test_each_difference_says_what_it_is(
    node: Node, other_node: Node, lena: User, settings: Any
) -> None:
    def on_node_too(**fields: Any) -> Container:
        container = ContainerFactory.create(customer=lena, **fields)
        put(node, container.pk)
        return container

    destroyed = on_node_too(status=Status.DESTROYED, node=None)
    twice = on_node_too(node=other_node)
    moved = ContainerFactory.create(customer=lena, node=other_node)
    move_by_hand(moved, node)
    put(node)
    look()
    assert sorted(told(node)) == sorted(
        [
            (destroyed.instance_name, True, []),
            (twice.instance_name, True, []),
            (moved.instance_name, True, ["take_over"]),
            ("ct-977", True, ["adopt"]),
        ]
    )
    texts = {each.number: each.text for each in differences_on(node)}
    assert "Destroyed" in texts[destroyed.pk]
    assert "has it as well" in texts[twice.pk]
    assert told(other_node) == [(moved.instance_name, False, [])]

    Node.objects.filter(pk=other_node.pk).update(online=False)
    texts = {each.number: each.text for each in differences_on(node)}
    assert "does not answer" in texts[twice.pk]
    assert ("ct-977", True, ["adopt"]) in told(node)
    assert (moved.instance_name, True, []) in told(node)


# --- numbers -----------------------------------------------------------------------------------


def test_no_new_container_is_given_the_number_of_an_instance_that_is_there(
    node: Node, stray: int, lena: User
) -> None:
    assert ContainerFactory.create(customer=lena, on_node=False).pk > stray


def test_numbers_go_on_from_where_they_were_beyond_a_reserved_one(lena: User) -> None:
    first = ContainerFactory.create(customer=lena, on_node=False).pk
    reserve(first - 1)
    reserve(first)
    second = ContainerFactory.create(customer=lena, on_node=False).pk
    assert second == first + 1
    reserve(second + 20)
    assert ContainerFactory.create(customer=lena, on_node=False).pk == second + 21


def test_ordering_goes_on_after_an_adoption(node: Node, stray: int, lena: User, ada: User) -> None:
    adopt(node, stray, customer=lena, name="old", by=ada)
    numbers = [ContainerFactory.create(customer=lena, on_node=False).pk for _ in range(2)]
    assert len({stray, *numbers}) == 3


# --- adopt -------------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [Power.RUNNING, Power.STOPPED])
def test_what_is_adopted_is_a_container_as_its_node_reports_it(
    power: Power, node: Node, lena: User, ada: User, as_lena: Client
) -> None:
    put(node, power=power)
    look()
    before = simulated(node).journal()
    adopt(node, NUMBER, customer=lena, name="old", by=ada)
    [container] = Container.objects.all()
    assert (container.pk, container.instance_name) == (NUMBER, "ct-977")
    assert (container.customer, container.name, container.node) == (lena, "old", node)
    assert (container.cpus, container.memory_mb, container.disk_gb) == (2, 2048, 30)
    assert (container.status, container.image) == (power.value, IMAGE)
    assert container.address
    [change] = container.changes.all()
    assert (change.from_status, change.to_status, change.by) == ("", power.value, ada)
    assert change.because == "adopted on node node-a"
    assert simulated(node).journal() == before
    assert told(node) == []
    look()
    assert fresh(container).status == power.value
    assert strays() == []
    assert room_on(node).memory_promised == 2048
    assert as_lena.get(f"/containers/{NUMBER}/").status_code == 200
    assert as_lena.get(f"/containers/{NUMBER}/activity/").status_code == 200


def test_what_was_adopted_can_be_worked_on(
    node: Node, stray: int, lena: User, ada: User, as_lena: Client, worker: Worker
) -> None:
    adopt(node, stray, customer=lena, name="old", by=ada)
    as_lena.post(f"/containers/{stray}/act/", {"action": "start"})
    worker.carry_out_all()
    assert Container.objects.get().status == Status.RUNNING
    assert power_of(Container.objects.get()) is Power.RUNNING


def test_what_is_adopted_twice_is_adopted_once(
    node: Node, stray: int, lena: User, omar: User, ada: User
) -> None:
    adopt(node, stray, customer=lena, name="old", by=ada)
    with pytest.raises(NotPossible, match="known by now: it is old"):
        adopt(node, stray, customer=omar, name="mine", by=ada)
    assert Container.objects.get().customer == lena


def test_of_two_who_adopt_at_the_same_moment_one_does(
    node: Node, stray: int, lena: User, omar: User, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = settling.proposal

    def overtaken(node: Node, number: int) -> settling.Found:
        proposal = real(node, number)
        monkeypatch.setattr(settling, "proposal", real)
        adopt(node, number, customer=omar, name="faster", by=ada)
        return proposal

    monkeypatch.setattr(settling, "proposal", overtaken)
    with pytest.raises(NotPossible, match="settled already"):
        adopt(node, stray, customer=lena, name="old", by=ada)
    assert Container.objects.get().name == "faster"
    assert Container.objects.get().changes.count() == 1


def test_a_name_that_the_customer_has_already_is_refused(
    node: Node, stray: int, container: Container, lena: User, ada: User
) -> None:
    with pytest.raises(NotPossible, match="already has a container called web-01"):
        adopt(node, stray, customer=lena, name="web-01", by=ada)
    assert Container.objects.count() == 1
    assert strays() == [("node-a", stray)]


def test_what_is_gone_busy_or_in_error_is_not_adopted(
    node: Node, stray: int, lena: User, ada: User
) -> None:
    for power in (Power.BUSY, Power.ERROR):
        simulated(node).power("ct-977", power)
        with pytest.raises(NotPossible, match=f"as {power}"):
            adopt(node, stray, customer=lena, name="old", by=ada)
    simulated(node).lose("ct-977")
    with pytest.raises(NotPossible, match="does not have ct-977 any more"):
        adopt(node, stray, customer=lena, name="old", by=ada)
    assert not Container.objects.exists()


def test_what_has_no_limits_is_not_adopted(node: Node, lena: User, ada: User) -> None:
    put(node, cpus=0, memory_mb=0)
    look()
    with pytest.raises(NotPossible, match="no limit for its processor and its memory"):
        adopt(node, NUMBER, customer=lena, name="old", by=ada)


def test_a_node_that_does_not_answer_cannot_be_asked(
    node: Node, stray: int, lena: User, ada: User
) -> None:
    simulated(node).set_faults(Faults(unplugged=True))
    with pytest.raises(NotPossible, match="cannot be asked now"):
        adopt(node, stray, customer=lena, name="old", by=ada)


# --- take over ---------------------------------------------------------------------------------


@pytest.fixture
def moved(container: Container, other_node: Node) -> Container:
    """Lena's, which the database has on one node, and another node has."""
    move_by_hand(container, other_node, Power.RUNNING)
    look()
    return fresh(container)


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


# --- forget ------------------------------------------------------------------------------------


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


# --- create again ------------------------------------------------------------------------------


def test_what_is_created_again_is_made_anew_on_its_node(
    missing: Container, node: Node, other_node: Node, ada: User, worker: Worker
) -> None:
    create_again(node, missing.pk, by=ada)
    creating = fresh(missing)
    assert (creating.status, creating.node, creating.missing) == (Status.CREATING, node, False)
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
    missing: Container, node: Node, ada: User
) -> None:
    node.images.all().delete()
    with pytest.raises(NotPossible, match="does not have Debian 12"):
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


# --- who, and how ------------------------------------------------------------------------------


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
    assert answer.redirect_chain == [(f"/nodes/{node.pk}/", 302)]
    assert "web-01 is" in answer.content.decode()
    assert fresh(missing).status != Status.OFFLINE


def test_forgetting_wants_the_name_typed(missing: Container, node: Node, as_ada: Client) -> None:
    for typed in ({}, {"name": "web-02"}):
        answer = as_ada.post(url(node, missing.pk, "forget"), typed)
        assert answer.status_code == 422
        assert "That is not its name" in answer.content.decode()
    assert fresh(missing).status == Status.OFFLINE


def test_taking_over_is_confirmed_on_the_page_of_the_node_that_has_it(
    moved: Container, other_node: Node, as_ada: Client
) -> None:
    where = url(other_node, moved.pk, "take_over")
    assert "Take over web-01?" in as_ada.get(where).content.decode()
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
    assert "ct-977 is old of Lena Fischer now." in answer.content.decode()
    assert Container.objects.get().changes.get().by == ada


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
    assert dialog["HX-Redirect"] == f"/nodes/{node.pk}/"


def test_a_replayed_form_is_told_that_it_is_settled(
    missing: Container, node: Node, as_ada: Client
) -> None:
    for _ in range(2):
        answer = as_ada.post(url(node, missing.pk, "forget"), {"name": "web-01"}, follow=True)
    assert "settled already" in answer.content.decode()
    assert as_ada.post(url(node, 10**30, "adopt"), follow=True).status_code == 200
    assert missing.changes.filter(to_status=Status.DESTROYED).count() == 1
