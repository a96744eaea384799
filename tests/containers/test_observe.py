"""What is true on the nodes is what the panel says: lost, changed by itself, vanished."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from containers import observe, reports
from containers.drivers import Power
from containers.models import Container, Node, StatusChange
from containers.observe import Watcher, look_at
from containers.statuses import Status
from panel.models import User
from tests.cast import ContainerFactory, NodeFactory
from tests.conftest import Clock
from tests.containers.acts import broken, fresh, history, look
from tests.tampering import simulated

pytestmark = pytest.mark.django_db


# --- lost ------------------------------------------------------------------------------------


def test_the_third_miss_in_a_row_makes_a_node_off_line_and_its_containers_with_it(
    container: Container, node: Node, watcher: Watcher
) -> None:
    broken(node, unplugged=True)
    look(watcher, 2)
    assert fresh(container).status == Status.STOPPED
    assert Node.objects.get().online
    revision = fresh(container).revision
    look(watcher)
    node.refresh_from_db()
    assert (node.online, node.misses) == (False, 3)
    assert fresh(container).revision > revision
    assert "no route" in node.problem
    assert fresh(container).status == Status.OFFLINE
    assert "node-a" in fresh(container).problem
    [change] = container.changes.all()
    assert (change.from_status, change.to_status, change.by) == ("stopped", "offline", None)
    assert change.because == "node node-a does not answer"
    assert change.at == fresh(container).status_since


def test_a_node_that_is_deleted_while_it_owes_an_answer_keeps_no_other_from_being_heard(
    container: Container, watcher: Watcher
) -> None:
    gone = NodeFactory.create()
    broken(gone, unplugged=True)
    watcher.ask()
    Node.objects.filter(pk=gone.pk).delete()
    watcher.collect(seconds=5)
    assert container.node is not None
    container.node.refresh_from_db()
    assert container.node.seen_at is not None


def test_a_node_in_doubt_is_asked_again_out_of_its_turn(
    container: Container, node: Node, watcher: Watcher, clock: Clock
) -> None:
    def misses_out_of_turn() -> int:
        watcher.ask_out_of_turn()
        watcher.collect(seconds=5)
        node.refresh_from_db()
        return node.misses

    broken(node, unplugged=True)
    look(watcher)
    for misses in (1, 2):
        assert misses_out_of_turn() == misses, "a node that is restarted gets a moment"
        clock.advance(by=observe.DOUBT)
        assert misses_out_of_turn() == misses + 1
    assert fresh(container).status == Status.OFFLINE
    clock.advance(by=observe.DOUBT)
    misses = misses_out_of_turn()
    clock.advance(by=observe.DOUBT)
    assert misses_out_of_turn() == misses, "one that is off-line is asked in its turn"


def test_an_answer_between_two_misses_begins_the_count_again(
    container: Container, node: Node, watcher: Watcher
) -> None:
    for _ in range(3):
        broken(node, unplugged=True)
        look(watcher, 2)
        broken(node)
        look(watcher)
    node.refresh_from_db()
    assert (node.online, node.misses, node.problem) == (True, 0, "")
    assert fresh(container).status == Status.STOPPED


def test_all_containers_of_a_lost_node_change_in_one_statement(
    node: Node, lena: User, watcher: Watcher
) -> None:
    here = [s for s in Status if s not in {"ordered", "destroyed", "offline"}]
    for number in range(4 * len(here)):
        status = here[number % len(here)]
        ContainerFactory.create(customer=lena, node=node, status=status, on_node=False)
    node.misses = 2
    node.save()
    with CaptureQueriesContext(connection) as queries:
        observe.missed(node, "no answer")
    updates = [q for q in queries if q["sql"].startswith('UPDATE "containers_container"')]
    assert len(updates) == 1
    assert len(queries) < 15
    assert set(node.containers.values_list("status", flat=True)) == {Status.OFFLINE}
    assert StatusChange.objects.count() == 4 * len(here)
    came_from = StatusChange.objects.values_list("from_status", flat=True)
    assert set(came_from) == set(here)


def test_only_its_own_containers_are_lost_with_a_node(
    node: Node, other_node: Node, lena: User, watcher: Watcher
) -> None:
    others = [
        ContainerFactory.create(customer=lena, node=other_node, status=Status.RUNNING),
        ContainerFactory.create(customer=lena, status=Status.ORDERED),
        ContainerFactory.create(customer=lena, status=Status.DESTROYED),
    ]
    broken(node, unplugged=True)
    look(watcher, 4)
    assert [fresh(c).status for c in others] == ["running", "ordered", "destroyed"]
    assert not StatusChange.objects.exists()


def test_one_node_alone_is_off_line_and_back(node: Node, other_node: Node) -> None:
    def online() -> list[bool]:
        return list(Node.objects.order_by("name").values_list("online", flat=True))

    Node.objects.update(misses=3, problem="no answer")
    reports.lose(node, "no answer")
    assert online() == [False, True]
    reports.lose(other_node, "no answer")
    assert online() == [False, False]
    observe.record_looks({node: look_at(node)})
    assert online() == [True, False]
    node.refresh_from_db()
    assert (node.misses, node.problem) == (0, "")


def test_a_node_that_two_have_missed_is_off_line_since_the_first_has_said_so(
    container: Container, node: Node
) -> None:
    reports.lose(node, "no answer")
    said = Node.objects.values().get(), Container.objects.values().get()
    reports.lose(node, "no answer")
    assert (Node.objects.values().get(), Container.objects.values().get()) == said


def test_a_node_stays_lost_without_further_history(
    container: Container, node: Node, watcher: Watcher
) -> None:
    broken(node, unplugged=True)
    look(watcher, 6)
    assert history(container) == [("stopped", "offline")]


# --- by itself -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("was", "power", "becomes"),
    [
        (Status.RUNNING, Power.STOPPED, Status.STOPPED),
        (Status.STOPPED, Power.RUNNING, Status.RUNNING),
        (Status.REPAIRING, Power.RUNNING, Status.RUNNING),
    ],
)
def test_what_happens_on_a_node_by_itself_is_recorded_as_such(
    was: Status, power: Power, becomes: Status, node: Node, lena: User, watcher: Watcher
) -> None:
    container = ContainerFactory.create(customer=lena, node=node, status=was)
    simulated(node).power(container.instance_name, power)
    look(watcher)
    assert fresh(container).status == becomes
    [change] = container.changes.all()
    assert (change.from_status, change.to_status) == (was, becomes)
    assert (change.by, change.operation) == (None, None)
    assert change.because.startswith("node node-a reports that it")


def test_one_in_repair_is_not_taken_for_stopped(node: Node, lena: User, watcher: Watcher) -> None:
    container = ContainerFactory.create(customer=lena, node=node, status=Status.REPAIRING)
    look(watcher)
    assert fresh(container).status == Status.REPAIRING


@pytest.mark.parametrize("power", [Power.BUSY, Power.ERROR])
@pytest.mark.parametrize("status", [Status.RUNNING, Status.STOPPED, Status.OFFLINE])
def test_where_the_node_cannot_tell_the_status_stays(
    power: Power, status: Status, node: Node, lena: User
) -> None:
    container = ContainerFactory.create(customer=lena, node=node, status=status)
    seen = look_at(node)
    instances = {n: replace(i, power=power) for n, i in seen.instances.items()}
    observe.record_looks({node: replace(seen, instances=instances)})
    assert fresh(container).status == status


@pytest.mark.parametrize("status", [Status.RUNNING, Status.STOPPED, Status.REPAIRING])
def test_one_that_vanished_from_its_node_is_off_line_and_says_why(
    status: Status, node: Node, lena: User, watcher: Watcher
) -> None:
    container = ContainerFactory.create(customer=lena, node=node, status=status)
    simulated(node).lose(container.instance_name)
    look(watcher, 3)
    assert fresh(container).status == Status.OFFLINE
    assert "does not have this container any more" in fresh(container).problem
    assert history(container) == [(status, "offline")]
    assert fresh(container).actions_for(lena) == []


def test_one_that_comes_back_after_it_vanished_is_what_the_node_says(
    container: Container, node: Node, watcher: Watcher
) -> None:
    from containers.connect import spec_of

    simulated(node).lose(container.instance_name)
    look(watcher)
    simulated(node).seed(spec_of(container), Power.RUNNING)
    look(watcher)
    assert (fresh(container).status, fresh(container).problem) == (Status.RUNNING, "")


def test_a_new_address_is_shown_without_a_row_of_history(
    container: Container, node: Node, watcher: Watcher
) -> None:
    Container.objects.update(address="10.0.0.9", problem="kept")
    before = fresh(container)
    look(watcher)
    after = fresh(container)
    assert after.address == look_at(node).instances[container.instance_name].address
    assert after.revision > before.revision
    assert (after.status_since, after.problem) == (before.status_since, "kept")
    assert history(container) == []


def test_where_all_is_as_it_was_nothing_is_written(
    node: Node, lena: User, watcher: Watcher
) -> None:
    for status in (Status.RUNNING, Status.STOPPED, Status.REPAIRING):
        ContainerFactory.create(customer=lena, node=node, status=status)
    look(watcher)
    before = list(Container.objects.values())
    with CaptureQueriesContext(connection) as queries:
        look(watcher)
    assert list(Container.objects.values()) == before
    writes = [q["sql"] for q in queries if q["sql"].startswith(("UPDATE", "INSERT"))]
    assert all('"containers_node"' in sql for sql in writes)
    assert len(writes) == 1


def test_a_stranger_on_the_node_is_nobodys_business(node: Node, watcher: Watcher) -> None:
    from containers.drivers import Spec
    from tests.cast import IMAGE

    simulated(node).seed(Spec("somebody", "else", IMAGE, 1, 128, 1))
    look(watcher)
    assert not Container.objects.exists()
