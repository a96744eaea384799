"""After a restore the nodes say what has become of it: nothing is lost, nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test import Client
from pytest_django import Settings

from containers import operations, rejoining
from containers.connect import spec_of
from containers.drivers import Instance, Power
from containers.drivers.simulated import SimulatedDriver
from containers.models import Container, Node, Operation, Stray
from containers.observe import Watcher
from containers.operations.carrying import Restored
from containers.placement import NoNodeFits
from containers.rejoining import MARK, refuse_unless_rejoined, rejoin
from containers.settling import NotPossible, create_again, forget, take_over
from containers.statuses import Status
from orders.checkout import open_payment
from orders.models import Order, Payment
from panel import backup
from panel.models import Session, User
from tests.cast import ContainerFactory, OrderFactory, UserFactory, effects_on, power_of
from tests.conftest import Clock, Worker
from tests.containers.acts import ask_and_wait, broken, fresh, last_operation, look
from tests.tampering import simulated

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "berth.tar.gz"


@pytest.fixture
def burnt_down(settings: Settings, tmp_path: Path) -> Callable[[], None]:
    """`burnt_down()`: an empty machine; only the nodes are what they were."""

    def burn() -> None:
        call_command("flush", verbosity=0, interactive=False)
        empty = tmp_path / "empty"
        empty.mkdir()
        (empty / "nodes").symlink_to(tmp_path / "nodes")
        settings.DATA, settings.INCUS_IDENTITY = empty, empty / "incus.pem"

    return burn


def make(number: int, node: Node, status: str, lena: User) -> Container:
    container: Container = ContainerFactory.create(
        customer=lena, node=node, status=status, name=f"web-{number}"
    )
    return container


def test_what_happened_after_the_back_up_is_learned_from_the_nodes(
    file: Path,
    burnt_down: Callable[[], None],
    lena: User,
    ada: User,
    node: Node,
    as_lena: Client,
    worker: Worker,
) -> None:
    same, started, halted, doomed = (
        make(number, node, status, lena)
        for number, status in enumerate(["running", "stopped", "running", "stopped"])
    )
    call_command("backup", file)

    ask_and_wait(started, "start", worker, ada)
    ask_and_wait(halted, "stop", worker, ada)
    ask_and_wait(doomed, "destroy", worker, ada)
    late = OrderFactory.create(customer=lena)
    paid = open_payment(late, lena)
    ask_and_wait(late.container, "create", worker, ada)
    before = len(simulated(node).journal())

    burnt_down()
    call_command("restore", file)
    look(Watcher())
    assert [fresh(c).status for c in (same, started, halted, doomed)] == [
        Status.RUNNING, Status.RUNNING, Status.STOPPED, Status.OFFLINE,
    ]  # fmt: skip
    assert fresh(doomed).missing
    assert list(Stray.objects.values_list("number", flat=True)) == [late.container.pk]
    order = OrderFactory.create(customer=User.objects.get(username="lena"))
    assert order.container.pk > late.container.pk
    assert order.pk > late.pk
    assert open_payment(order, order.customer).pk > paid.pk
    operations.sweep()
    worker.carry_out_all()
    assert len(simulated(node).journal()) == before
    assert not Session.objects.exists()


def test_what_was_given_out_after_a_restore_is_not_given_out_again_after_the_next(
    file: Path, lena: User
) -> None:
    rejoin(Order)
    call_command("backup", file)
    ordered = OrderFactory.create(customer=lena)
    call_command("restore", file, force=True)
    order = OrderFactory.create(customer=User.objects.get(username="lena"))
    assert order.pk > ordered.pk
    assert order.container.pk > ordered.container.pk


@pytest.mark.parametrize("cut_off", [False, True])
def test_what_was_given_out_after_a_restore_is_not_given_out_again_where_it_is_repeated(
    file: Path, lena: User, cut_off: bool
) -> None:
    call_command("backup", file)
    call_command("restore", file, force=True)
    ordered = OrderFactory.create(customer=User.objects.get(username="lena"))
    paid = open_payment(ordered, ordered.customer)
    if cut_off:
        backup.restore(file, Order, Payment, force=True)
    call_command("restore", file, force=True)
    order = OrderFactory.create(customer=User.objects.get(username="lena"))
    assert order.pk > ordered.pk
    assert order.container.pk > ordered.container.pk
    assert open_payment(order, order.customer).pk > paid.pk


def test_what_may_be_on_a_node_that_does_not_answer_is_not_created_again(
    file: Path,
    burnt_down: Callable[[], None],
    lena: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    settings: Settings,
) -> None:
    """Of those that the back-up has ordered one was created since, another has moved away."""
    first, moved = OrderFactory.create(customer=lena), make(1, other_node, "stopped", lena)
    ada = UserFactory.create(is_administrator=True)
    call_command("backup", file)
    created = ask_and_wait(first.container, "create", worker, ada)
    ask_and_wait(moved, "migrate", worker, ada, target=node.pk)
    assert created.node == node

    burnt_down()
    call_command("restore", file)
    ada = User.objects.get(pk=ada.pk)
    broken(node, unplugged=True)
    look(Watcher(), settings.MISSES_UNTIL_OFFLINE)
    with pytest.raises(NoNodeFits, match="may be on node-a already"):
        operations.request(created.pk, "create", by=ada)
    assert "may be on node-a already" in fresh(created).problem
    assert fresh(moved).is_gone()
    for door in (create_again, forget):
        with pytest.raises(NotPossible, match="may be on node node-a"):
            door(other_node, moved.pk, by=ada)
    later = OrderFactory.create(customer=User.objects.get(pk=lena.pk)).container
    assert ask_and_wait(later, "create", worker, ada).status == Status.STOPPED

    broken(node)
    look(Watcher())
    created = ask_and_wait(created, "create", worker, ada)
    assert (created.status, created.node) == (Status.STOPPED, node)
    assert effects_on(node, other_node, of=created) == ["created"]
    take_over(Node.objects.get(pk=node.pk), moved.pk, by=ada)
    assert fresh(moved).node == node


def test_what_is_found_on_one_node_waits_for_no_other(
    file: Path,
    burnt_down: Callable[[], None],
    lena: User,
    node: Node,
    other_node: Node,
    worker: Worker,
) -> None:
    ordered = OrderFactory.create(customer=lena).container
    call_command("backup", file)
    ask_and_wait(ordered, "create", worker, UserFactory.create(is_administrator=True))
    burnt_down()
    call_command("restore", file)
    broken(other_node, unplugged=True)
    look(Watcher())
    operations.request(ordered.pk, "create", by=None)
    worker.carry_out_all()
    assert (fresh(ordered).status, fresh(ordered).node) == (Status.STOPPED, node)
    assert effects_on(node, other_node, of=ordered) == ["created"]


def test_a_node_that_is_lost_is_taken_out_of_service_and_nothing_waits_for_it(
    file: Path,
    burnt_down: Callable[[], None],
    lena: User,
    node: Node,
    other_node: Node,
    worker: Worker,
) -> None:
    order = OrderFactory.create(customer=lena)
    call_command("backup", file)
    burnt_down()
    call_command("restore", file)
    broken(node, unplugged=True)
    look(Watcher(), 3)
    Node.objects.filter(pk=node.pk).update(in_service=False)
    operations.request(order.container_id, "create", by=None)
    worker.carry_out_all()
    assert fresh(order.container).node == other_node


def test_a_node_that_gave_no_answer_about_one_has_not_been_seen_whole(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    rejoin()
    silent = Instance("ct-1", Power.ERROR, known=False)
    with monkeypatch.context() as patch:
        patch.setattr(SimulatedDriver, "instances", lambda driver: {silent.name: silent})
        look(Watcher())
        assert Node.objects.get().may_have_up_to is not None
    look(Watcher())
    assert Node.objects.get().may_have_up_to is None


def test_nothing_is_done_for_work_that_was_open(
    file: Path,
    burnt_down: Callable[[], None],
    lena: User,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
) -> None:
    done, undone, destroyed, kept, unmoved = (
        make(number, node, status, lena)
        for number, status in enumerate(["stopped", "running", "stopped", "stopped", "running"])
    )
    for container, action in [
        (done, "start"), (undone, "stop"), (destroyed, "destroy"), (kept, "destroy"),
        (unmoved, "migrate"),
    ]:  # fmt: skip
        operations.request(container.pk, action, by=ada)
    call_command("backup", file)

    worker.lose_everything()
    simulated(node).power(done.instance_name, Power.RUNNING)
    simulated(node).lose(destroyed.instance_name)
    # The move came to nothing, and somebody has stopped it since.
    simulated(node).power(unmoved.instance_name, Power.STOPPED)
    before = simulated(node).journal()

    burnt_down()
    call_command("restore", file)
    for operation in Operation.objects.open():
        operations.carry_out(operation.pk)
    assert [(fresh(c).status, last_operation(c).outcome) for c in (done, undone)] == [
        ("running", "done"), ("running", "failed"),
    ]  # fmt: skip
    assert last_operation(undone).error == Restored.sentence
    assert (fresh(kept).status, last_operation(kept).outcome) == ("stopped", "failed")
    assert (fresh(unmoved).status, last_operation(unmoved).outcome) == ("stopped", "failed")
    look(Watcher())
    assert (fresh(destroyed).status, fresh(destroyed).missing) == ("offline", True)
    assert simulated(node).journal() == before
    assert simulated(other_node).journal() == []


def test_a_creation_that_was_open_deletes_nothing(
    file: Path, burnt_down: Callable[[], None], lena: User, ada: User, node: Node, worker: Worker
) -> None:
    container = OrderFactory.create(customer=lena).container
    operations.request(container.pk, "create", by=ada)
    call_command("backup", file)
    worker.lose_everything()
    simulated(node).seed(spec_of(container), Power.BUSY, pace=5)

    burnt_down()
    call_command("restore", file)
    operations.carry_out(Operation.objects.open().get().pk)
    assert (fresh(container).status, fresh(container).node) == (Status.ORDERED, None)
    assert simulated(node)._node.creation(container.instance_name)


def test_what_was_created_meanwhile_is_not_created_a_second_time(
    file: Path,
    burnt_down: Callable[[], None],
    lena: User,
    node: Node,
    ada: User,
    worker: Worker,
    clock: Clock,
) -> None:
    order = OrderFactory.create(customer=lena, status=Order.Status.PAID)
    Container.objects.update(create_again_at="2026-01-01T00:00:00Z")
    call_command("backup", file)
    operations.sweep()
    worker.carry_out_all()
    assert power_of(fresh(order.container)) is Power.STOPPED

    burnt_down()
    call_command("restore", file)
    Node.objects.create(name="roomier", kind="simulated", memory_mb=10**6, disk_gb=10**4)
    Node.objects.get(name="roomier").images.create(name="debian/12")
    operations.sweep()
    assert not Operation.objects.exists()
    look(Watcher())
    clock.advance(301)
    operations.sweep()
    worker.carry_out_all()
    assert (fresh(order.container).status, fresh(order.container).node) == ("stopped", node)
    assert effects_on(node, of=order.container) == ["created"]
    order.refresh_from_db()
    assert order.status == Order.Status.FULFILLED


@pytest.mark.parametrize("command", ["run_huey", "watch", "launch"])
def test_nothing_works_on_what_a_restore_that_was_cut_off_has_left(
    file: Path, lena: User, command: str
) -> None:
    call_command("backup", file)
    backup.restore(file, force=True)
    with pytest.raises(CommandError, match="restore FILE --force"):
        call_command(command)
    call_command("restore", file, force=True)
    refuse_unless_rejoined()


@pytest.mark.parametrize("command", ["run_huey", "watch"])
def test_a_process_that_starts_without_its_database_asks_it_once_it_is_back(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [OperationalError("connection refused"), OperationalError("starting up"), [MARK]]

    def table_names() -> Any:
        if isinstance(answer := answers.pop(0), Exception):
            raise answer
        return answer

    monkeypatch.setattr(connection.introspection, "table_names", table_names)
    monkeypatch.setattr(rejoining, "time", SimpleNamespace(sleep=lambda seconds: None))
    with pytest.raises(CommandError, match="restore FILE --force"):
        call_command(command)
    assert not answers
