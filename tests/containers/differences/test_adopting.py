"""An instance that the database does not know becomes a container, once."""

from __future__ import annotations

import pytest
from django.test import Client

from containers.drivers import Power
from containers.drivers.simulated import Faults
from containers.models import Container, Node
from containers.settling import Adoptable, NotPossible, adopt, adopting
from containers.statuses import Status
from panel.models import User
from tests.cast import IMAGE, power_of, room_on
from tests.conftest import Worker
from tests.tampering import simulated

from .conftest import NUMBER, fresh, look, put, strays, told

pytestmark = pytest.mark.django_db


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


def test_what_is_adopted_leaves_the_others_there_to_be_settled(
    stray: int, node: Node, lena: User, ada: User
) -> None:
    put(node, stray + 1)
    look()
    adopt(node, stray, customer=lena, name="old", by=ada)
    assert strays() == [("node-a", stray + 1)]


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
    real = adopting.proposal

    def overtaken(node: Node, number: int) -> Adoptable:
        proposal = real(node, number)
        monkeypatch.setattr(adopting, "proposal", real)
        adopt(node, number, customer=omar, name="faster", by=ada)
        return proposal

    monkeypatch.setattr(adopting, "proposal", overtaken)
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


@pytest.mark.parametrize(("letters", "fits"), [(100, True), (120, True), (121, False)])
def test_an_image_with_a_long_name_is_kept_whole_or_refused(
    letters: int, fits: bool, node: Node, lena: User, ada: User
) -> None:
    put(node, image="x" * letters)
    look()
    if fits:
        adopt(node, NUMBER, customer=lena, name="old", by=ada)
        container = Container.objects.get()
        assert (container.image, container.system) == ("x" * letters, "x" * 80)
    else:
        with pytest.raises(NotPossible, match="more than 120 letters"):
            adopt(node, NUMBER, customer=lena, name="old", by=ada)


def test_a_node_that_does_not_answer_cannot_be_asked(
    node: Node, stray: int, lena: User, ada: User
) -> None:
    simulated(node).set_faults(Faults(unplugged=True))
    with pytest.raises(NotPossible, match="cannot be asked now"):
        adopt(node, stray, customer=lena, name="old", by=ada)


def test_on_a_node_that_counts_as_off_line_nothing_is_adopted(
    node: Node, stray: int, lena: User, ada: User
) -> None:
    Node.objects.update(online=False)
    with pytest.raises(NotPossible, match="is off-line"):
        adopt(node, stray, customer=lena, name="old", by=ada)
    assert not Container.objects.exists()
