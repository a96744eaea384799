"""What was begun on a node and given up is seen, and goes when an administrator says so."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from typing import NoReturn

import pytest
from django.test import Client

from containers import inventory, operations
from containers.connect import simulated, spec_of
from containers.drivers import Instance, NoRoom, Power, Progress, Spec
from containers.drivers.simulated import Faults, SimulatedDriver
from containers.models import Container, Node, Stray
from containers.observe import look_at, record_looks
from containers.placement import place
from containers.settling import NotPossible, clear_away
from containers.statuses import Status
from panel.models import User
from tests.cast import IMAGE, ContainerFactory, power_of

from .conftest import NUMBER, fresh, has_moved, look, put, strays, told

pytestmark = pytest.mark.django_db


def begin(node: Node, container: Container) -> None:
    """As if a creation of it had stopped in the middle on this node."""
    simulated(node).seed(spec_of(container), Power.BUSY, pace=10_000)


def take_stock(node: Node) -> None:
    inventory.keep(node, inventory.ask(node))


@pytest.fixture
def left(container: Container, other_node: Node) -> Container:
    """Lena's, whole on its node, and begun on another."""
    begin(other_node, container)
    take_stock(other_node)
    return container


def test_what_nobody_is_at_work_on_any_more_is_seen(left: Container, other_node: Node) -> None:
    assert told(other_node) == [(left.instance_name, True, ["clear_away"])]


def test_a_look_at_what_is_whole_leaves_it_noted(left: Container, other_node: Node) -> None:
    record_looks({other_node: look_at(other_node)})
    assert told(other_node) == [(left.instance_name, True, ["clear_away"])]


def test_a_missing_container_of_its_number_has_a_row_of_its_own(
    missing: Container, node: Node, as_ada: Client
) -> None:
    begin(node, missing)
    take_stock(node)
    assert told(node) == [
        (missing.instance_name, True, []),
        (missing.instance_name, False, ["create_again", "forget"]),
    ]
    ids = re.findall(r' id="([^"]+)"', as_ada.get(f"/nodes/{node.pk}/").content.decode())
    assert len(ids) == len(set(ids))


def test_it_goes_and_the_container_stays(
    left: Container, node: Node, other_node: Node, ada: User
) -> None:
    assert "is being deleted" in clear_away(other_node, left.pk, by=ada)
    assert simulated(other_node).unfinished() == {}
    assert power_of(left) is Power.STOPPED
    assert (fresh(left).status, fresh(left).node) == (Status.STOPPED, node)
    change = left.changes.latest("pk")
    assert (change.from_status, change.to_status, change.by) == ("stopped", "stopped", ada)
    assert change.because == "asked to clear away what is unfinished on node node-b"
    assert told(other_node) == []
    take_stock(other_node)
    assert told(other_node) == []


def test_what_its_node_is_still_at_work_on_is_not_called_deleted(
    left: Container, other_node: Node, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(self: SimulatedDriver, name: str) -> Iterator[Progress]:
        yield Progress(begun=False)

    monkeypatch.setattr(SimulatedDriver, "delete", busy)
    with pytest.raises(NotPossible, match="still at work on"):
        clear_away(other_node, left.pk, by=ada)
    take_stock(other_node)
    assert told(other_node) == [(left.instance_name, True, ["clear_away"])]


def test_half_a_copy_goes_like_half_a_creation(
    container: Container, node: Node, other_node: Node, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "symlink", full)
    with pytest.raises(NoRoom):
        list(simulated(node).move(container.instance_name, simulated(other_node)))
    monkeypatch.undo()
    take_stock(other_node)
    assert told(other_node) == [(container.instance_name, True, ["clear_away"])]
    clear_away(other_node, container.pk, by=ada)
    assert simulated(other_node).unfinished() == {}
    assert power_of(container) is Power.STOPPED


def test_what_is_under_way_is_no_difference(
    container: Container, other_node: Node, ada: User
) -> None:
    operations.request(container.pk, "migrate", by=ada, target=other_node.pk)
    begin(other_node, container)
    take_stock(other_node)
    assert told(other_node) == []


def test_what_has_ended_since_the_node_was_asked_is_no_difference(
    container: Container, other_node: Node, ada: User
) -> None:
    operation = operations.request(container.pk, "migrate", by=ada, target=other_node.pk)
    assert operation is not None
    begin(other_node, container)
    asked = inventory.ask(other_node)
    operations.outcomes.end(operation, operations.outcomes.Verdict(ok=False, now=Status.STOPPED))
    inventory.keep(other_node, asked)
    assert told(other_node) == []


def test_once_it_is_gone_from_the_node_or_whole_it_is_forgotten(
    left: Container, node: Node, other_node: Node
) -> None:
    list(simulated(other_node).delete(left.instance_name))
    take_stock(other_node)
    assert strays() == []
    begin(other_node, left)
    take_stock(other_node)
    assert Stray.objects.get().unfinished
    list(simulated(other_node).delete(left.instance_name))
    has_moved(left, other_node, outcome="failed")
    put(other_node, left.pk)
    look()
    assert not Stray.objects.get().unfinished
    assert told(other_node) == [(left.instance_name, True, ["remove_copy"])]


def test_while_the_container_is_worked_on_it_stays(
    left: Container, other_node: Node, ada: User
) -> None:
    operations.request(left.pk, "start", by=ada)
    assert told(other_node) == [(left.instance_name, True, [])]
    with pytest.raises(NotPossible, match="Booting now"):
        clear_away(other_node, left.pk, by=ada)
    assert simulated(other_node).unfinished() == {left.instance_name: True}


def test_while_others_are_worked_on_it_goes_all_the_same(
    left: Container, other_node: Node, ada: User
) -> None:
    other = ContainerFactory.create(status=Status.BOOTING)
    clear_away(other_node, left.pk, by=ada)
    assert simulated(other_node).unfinished() == {}
    assert not other.changes.filter(because__contains="unfinished").exists()


def test_what_is_left_of_a_destroyed_one_can_be_cleared_away(node: Node, ada: User) -> None:
    gone = ContainerFactory.create(node=None, status=Status.DESTROYED)
    begin(node, gone)
    take_stock(node)
    assert told(node) == [(gone.instance_name, True, ["clear_away"])]
    clear_away(node, gone.pk, by=ada)
    assert simulated(node).unfinished() == {}


def test_what_the_database_knows_nothing_of_can_be_cleared_away_on_the_page(
    node: Node, as_ada: Client
) -> None:
    spec = Spec("ct-977", "old.example.com", IMAGE, 1, 512, 10)
    simulated(node).seed(spec, Power.BUSY, pace=10_000)
    take_stock(node)
    page = as_ada.get(f"/nodes/{node.pk}/").content.decode()
    assert "Unfinished" in page
    url = f"/nodes/{node.pk}/differences/977/clear_away/"
    assert "Clear away: ct-977 on node-a?" in as_ada.get(url).content.decode()
    assert "is being deleted" in as_ada.post(url, follow=True).content.decode()
    assert simulated(node).unfinished() == {}
    assert ContainerFactory.create().pk > 977


def test_a_whole_container_is_never_cleared_away(
    left: Container, node: Node, other_node: Node, ada: User
) -> None:
    with pytest.raises(NotPossible, match="nothing unfinished"):
        clear_away(node, left.pk, by=ada)
    list(simulated(other_node).delete(left.instance_name))
    put(other_node, left.pk)
    with pytest.raises(NotPossible, match="nothing unfinished"):
        clear_away(other_node, left.pk, by=ada)
    assert simulated(other_node).instance(left.instance_name)
    assert power_of(left) is Power.STOPPED


def test_of_two_who_clear_it_away_one_does(
    left: Container, other_node: Node, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other could meet what has been moved there since."""
    real = SimulatedDriver.unfinished

    def overtaken(node: SimulatedDriver) -> dict[str, bool]:
        found = real(node)
        monkeypatch.setattr(SimulatedDriver, "unfinished", real)
        clear_away(other_node, left.pk, by=ada)
        return found

    monkeypatch.setattr(SimulatedDriver, "unfinished", overtaken)
    with pytest.raises(NotPossible, match="settled already"):
        clear_away(other_node, left.pk, by=ada)
    assert left.changes.filter(because__contains="unfinished").count() == 1


def test_what_becomes_whole_in_the_meantime_stays(
    left: Container, other_node: Node, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = SimulatedDriver.unfinished

    def gone_on_with(node: SimulatedDriver) -> dict[str, bool]:
        found = real(node)
        monkeypatch.setattr(SimulatedDriver, "unfinished", real)
        list(node.delete(left.instance_name))
        put(other_node, left.pk)
        return found

    monkeypatch.setattr(SimulatedDriver, "unfinished", gone_on_with)
    with pytest.raises(NotPossible, match="nothing unfinished"):
        clear_away(other_node, left.pk, by=ada)
    assert simulated(other_node).instance(left.instance_name)


def test_a_node_that_does_not_answer_deletes_nothing(
    left: Container, other_node: Node, ada: User
) -> None:
    simulated(other_node).set_faults(Faults(unplugged=True))
    with pytest.raises(NotPossible, match="cannot be asked now"):
        clear_away(other_node, left.pk, by=ada)
    assert told(other_node) == [(left.instance_name, True, ["clear_away"])]


def test_nobody_but_administrators_clears_it_away(
    left: Container, other_node: Node, lena: User
) -> None:
    with pytest.raises(NotPossible, match="administrator"):
        clear_away(other_node, left.pk, by=lena)


def test_it_does_not_bind_a_container_to_the_node(node: Node, other_node: Node) -> None:
    """A whole one does, for it may be the container itself."""
    ordered = ContainerFactory.create(node=None, status=Status.ORDERED)
    Node.objects.filter(pk=other_node.pk).update(memory_mb=100)
    begin(other_node, ordered)
    take_stock(other_node)
    assert place(ordered) == node


def test_what_gives_no_answer_stays_as_it_was_noted(
    left: Container, missing: Container, other_node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its node says that there is something of that name, and no more."""
    put(other_node)
    put(other_node, 978, by_hand=True)
    look()
    noted = list(Stray.objects.order_by("number").values())
    assert len(noted) == 3
    names = [f"ct-{number}" for number in (left.pk, NUMBER, 978, 979)]
    silent = {name: Instance(name, Power.ERROR, known=False) for name in names}
    monkeypatch.setattr(SimulatedDriver, "instances", lambda driver: silent)
    monkeypatch.setattr(SimulatedDriver, "unfinished", lambda _: dict.fromkeys(names, False))
    look()
    take_stock(other_node)
    assert list(Stray.objects.order_by("number").values()) == noted
    assert fresh(missing).missing


def test_a_container_that_gives_no_answer_is_not_missing(
    container: Container, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = Instance(container.instance_name, Power.ERROR, known=False)
    monkeypatch.setattr(SimulatedDriver, "instances", lambda driver: {silent.name: silent})
    look()
    assert fresh(container).status == Status.STOPPED
    assert strays() == []
