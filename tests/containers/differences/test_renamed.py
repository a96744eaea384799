"""What was made for one container is never taken for another, whatever it is called on its node."""

from __future__ import annotations

import pytest
from django.test import Client

from containers import operations
from containers.connect import spec_of
from containers.differences import differences_on
from containers.drivers import Power, Refused
from containers.models import Container, Node
from containers.operations import work
from containers.settling import NotPossible, adopt, forget, take_over
from containers.statuses import Status
from panel.models import User
from tests.cast import ContainerFactory, effects_on, power_of
from tests.conftest import Worker
from tests.tampering import simulated

from .conftest import NUMBER, fresh, look, put, strays, told

pytestmark = pytest.mark.django_db


@pytest.fixture
def omars(omar: User, node: Node) -> Container:
    return ContainerFactory.create(customer=omar, node=node, name="shop")


@pytest.fixture
def replaced(container: Container, omars: Container, node: Node) -> Container:
    """Lena's, deleted on its node, where somebody has given its name to Omar's."""
    simulated(node).lose(container.instance_name)
    simulated(node).give_name(omars.instance_name, container.instance_name)
    return container


def test_it_is_not_the_container_that_it_is_called_by_now(
    replaced: Container, omars: Container, node: Node
) -> None:
    look()
    look()
    for missing in (replaced, omars):
        assert (fresh(missing).status, fresh(missing).missing) == (Status.OFFLINE, True)
    assert fresh(replaced).address == replaced.address
    assert told(node) == [
        (replaced.instance_name, True, []),
        (omars.instance_name, False, ["create_again", "forget"]),
    ]
    assert "made for another container" in differences_on(node)[0].text


def test_called_by_its_name_again_all_is_as_it_was(
    replaced: Container, omars: Container, node: Node, ada: User
) -> None:
    look()
    simulated(node).give_name(replaced.instance_name, omars.instance_name)
    look()
    assert fresh(omars).status == Status.STOPPED
    assert told(node) == [(replaced.instance_name, False, ["create_again", "forget"])]
    forget(node, replaced.pk, by=ada)
    assert told(node) == []


def test_nobody_sees_the_files_of_another_container(
    container: Container, omars: Container, node: Node, as_lena: Client
) -> None:
    """Before the watcher has found it out."""
    Container.objects.filter(pk=container.pk).update(status=Status.REPAIRING)
    files = f"/containers/{container.pk}/files/?path=/etc"
    assert "passwd" in as_lena.get(files).content.decode()
    simulated(node).lose(container.instance_name)
    simulated(node).give_name(omars.instance_name, container.instance_name)
    assert "passwd" not in as_lena.get(files).content.decode()
    make = f"/containers/{container.pk}/files/new-folder/?path=/root"
    as_lena.post(make, {"name": "mine"})
    names = [each.name for each in simulated(node).list_folder(container.instance_name, "/root")]
    assert "mine" not in names
    assert not container.file_changes.exists()


@pytest.mark.parametrize("action", ["start", "stop", "restart", "migrate", "destroy"])
def test_no_work_reaches_another_container(
    action: str,
    container: Container,
    omars: Container,
    node: Node,
    other_node: Node,
    ada: User,
    worker: Worker,
) -> None:
    """It was asked for before the watcher has found it out."""
    power = Power.RUNNING if action in {"stop", "restart"} else Power.STOPPED
    Container.objects.filter(pk=container.pk).update(status=power.value)
    simulated(node).lose(container.instance_name)
    simulated(node).power(omars.instance_name, power)
    simulated(node).give_name(omars.instance_name, container.instance_name)
    before = simulated(node).journal()
    operations.request(container.pk, action, by=ada)
    worker.carry_out_all()
    assert simulated(node).journal() == before
    assert simulated(node).describe(container.instance_name).hostname == "shop"
    look()
    ended = fresh(container)
    assert ended.status == (Status.DESTROYED if action == "destroy" else Status.OFFLINE)


def test_what_takes_its_name_just_before_it_is_deleted_is_not(
    container: Container, omars: Container, node: Node, ada: User, worker: Worker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    real = work.STEPS["destroy"]

    def late(job: work.Job) -> work.Steps:
        simulated(node).lose(container.instance_name)
        simulated(node).give_name(omars.instance_name, container.instance_name)
        yield from real(job)

    monkeypatch.setitem(work.STEPS, "destroy", late)
    operations.request(container.pk, "destroy", by=ada)
    worker.carry_out_all()
    assert simulated(node).describe(container.instance_name).hostname == "shop"


def test_a_move_that_fails_where_it_leads_starts_no_other_container_where_it_came_from(
    lena: User, omars: Container, node: Node, other_node: Node, ada: User, worker: Worker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    moving = ContainerFactory.create(customer=lena, node=node, status=Status.RUNNING)

    def boots_not(job: work.Job) -> work.Steps:
        assert job.target is not None
        yield from job.node.stop(job.name)
        yield from job.node.move(job.name, job.target)
        simulated(node).give_name(omars.instance_name, moving.instance_name)
        raise Refused("no boot here")

    monkeypatch.setitem(work.STEPS, "migrate", boots_not)
    operations.request(moving.pk, "migrate", by=ada)
    worker.carry_out_all()
    assert (fresh(moving).status, fresh(moving).node) == (Status.STOPPED, other_node)
    assert simulated(node).instances()[moving.instance_name].power is Power.STOPPED


def test_a_move_starts_no_other_container_where_it_leads(
    lena: User, omars: Container, node: Node, other_node: Node, ada: User, worker: Worker
) -> None:
    moving = ContainerFactory.create(customer=lena, node=other_node, status=Status.RUNNING)
    simulated(node).give_name(omars.instance_name, moving.instance_name)
    operations.request(moving.pk, "migrate", by=ada, target=node.pk)
    worker.carry_out_all()
    assert (fresh(moving).status, fresh(moving).node) == (Status.RUNNING, other_node)
    assert power_of(moving) is Power.RUNNING
    assert simulated(node).instances()[moving.instance_name].power is Power.STOPPED


def test_it_cannot_be_taken_over(
    container: Container, omars: Container, node: Node, other_node: Node, ada: User
) -> None:
    simulated(node).lose(container.instance_name)
    put(other_node, container.pk, labels=spec_of(omars).labels)
    look()
    assert told(other_node) == [(container.instance_name, True, [])]
    assert told(node) == [(container.instance_name, False, ["create_again", "forget"])]
    with pytest.raises(NotPossible, match="made for another container"):
        take_over(other_node, container.pk, by=ada)


def test_where_its_own_node_has_only_its_name_it_is_taken_over_elsewhere(
    replaced: Container, node: Node, other_node: Node, ada: User
) -> None:
    simulated(other_node).seed(spec_of(replaced))
    look()
    take_over(other_node, replaced.pk, by=ada)
    assert (fresh(replaced).node, fresh(replaced).status) == (other_node, Status.STOPPED)


def test_what_was_adopted_is_marked_and_told_from_others(
    node: Node, container: Container, lena: User, ada: User
) -> None:
    """Also where it was another container once, and was renamed to be adopted."""
    put(node, NUMBER, labels=spec_of(container).labels)
    look()
    adopt(node, NUMBER, customer=lena, name="old", by=ada)
    look()
    adopted = Container.objects.get(pk=NUMBER)
    assert (adopted.status, strays()) == (Status.STOPPED, [])
    simulated(node).lose(container.instance_name)
    simulated(node).give_name(adopted.instance_name, container.instance_name)
    look()
    for missing in (container, adopted):
        assert fresh(missing).missing


def test_what_was_taken_over_is_marked_and_told_from_others(
    container: Container, omars: Container, node: Node, ada: User
) -> None:
    simulated(node).lose(container.instance_name)
    put(node, container.pk, by_hand=True)
    look()
    take_over(node, container.pk, by=ada)
    simulated(node).lose(omars.instance_name)
    simulated(node).give_name(container.instance_name, omars.instance_name)
    look()
    for missing in (container, omars):
        assert fresh(missing).missing


def test_what_was_made_before_there_were_marks_is_the_container_that_it_is_called(
    lena: User, node: Node, ada: User, worker: Worker
) -> None:
    old = ContainerFactory.create(customer=lena, node=node, on_node=False)
    put(node, old.pk)
    operations.request(old.pk, "start", by=ada)
    worker.carry_out_all()
    look()
    assert fresh(old).status == Status.RUNNING
    assert effects_on(node, of=old) == ["created", "started"]
    assert strays() == []


def test_a_container_is_known_again_where_its_database_keeps_only_milliseconds(
    container: Container, node: Node
) -> None:
    """As one does that was filled with a dump of another."""
    cut = container.ordered_at.microsecond // 1000 * 1000
    Container.objects.update(ordered_at=container.ordered_at.replace(microsecond=cut))
    look()
    assert fresh(container).status == Status.STOPPED
