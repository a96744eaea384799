"""Looks that come late, changes that come in between, nodes that take their time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from containers import observe, operations, reports
from containers.connect import connect
from containers.drivers import Power, Spec, Unreachable
from containers.models import Container, Node, Stray
from containers.observe import Watcher, look_at
from containers.statuses import TRANSIENT, Status
from panel.models import User
from tests.cast import IMAGE, ContainerFactory, NodeFactory, power_of
from tests.conftest import Clock, Worker
from tests.containers.acts import ask_and_wait, broken, fresh, history, look
from tests.tampering import simulated

pytestmark = pytest.mark.django_db


# --- races -----------------------------------------------------------------------------------


def test_a_look_that_began_before_a_change_says_nothing_about_it(
    container: Container, node: Node, lena: User, worker: Worker
) -> None:
    old = look_at(node)
    operations.request(container.pk, "start", by=lena)
    observe.record_looks({node: old})
    assert fresh(container).status == Status.BOOTING
    worker.carry_out_all()
    observe.record_looks({node: old})
    assert fresh(container).status == Status.RUNNING
    assert history(container) == [("stopped", "booting"), ("booting", "running")]


def test_a_look_that_began_before_a_creation_does_not_take_it_for_vanished(
    node: Node, lena: User, worker: Worker
) -> None:
    container = ContainerFactory.create(customer=lena, status=Status.ORDERED)
    old = look_at(node)
    operations.request(container.pk, "create", by=None)
    worker.carry_out_all()
    observe.record_looks({node: old})
    assert fresh(container).status == Status.STOPPED


def test_a_look_that_began_before_a_move_says_nothing_about_what_moved(
    container: Container, node: Node, other_node: Node, ada: User, worker: Worker
) -> None:
    old_here, old_there = look_at(node), look_at(other_node)
    operations.request(container.pk, "migrate", by=ada)
    worker.carry_out_all()
    observe.record_looks({node: old_here})
    observe.record_looks({other_node: old_there})
    assert (fresh(container).status, fresh(container).node) == (Status.STOPPED, other_node)


def test_a_node_that_is_deleted_while_its_answer_is_on_the_way_keeps_no_other_from_being_heard(
    node: Node, other_node: Node
) -> None:
    for each in (node, other_node):
        simulated(each).seed(Spec("ct-977", "", IMAGE, 1, 128, 1))
    looks = {each: look_at(each) for each in (node, other_node)}
    Node.objects.get(pk=node.pk).delete()
    observe.record_looks(looks)
    assert [stray.node_id for stray in Stray.objects.all()] == [other_node.pk]


def test_what_happens_on_a_node_is_shown_though_the_clock_was_set_back(
    container: Container, node: Node, lena: User, worker: Worker, watcher: Watcher, clock: Clock
) -> None:
    clock.advance(3600)
    ask_and_wait(container, "start", worker, lena)
    clock.advance(-3600)
    simulated(node).power(container.instance_name, Power.STOPPED)
    look(watcher)
    assert fresh(container).status == Status.STOPPED


def test_a_change_by_a_worker_whose_clock_is_a_little_ahead_is_newer_than_the_look_before_it(
    container: Container, node: Node, lena: User, worker: Worker, clock: Clock
) -> None:
    old = look_at(node)
    clock.advance(10)
    ask_and_wait(container, "start", worker, lena)
    clock.advance(-10)
    observe.record_looks({node: old})
    assert fresh(container).status == Status.RUNNING


def test_what_somebody_asked_for_meanwhile_is_not_overwritten(
    container: Container, node: Node, lena: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node reports it running; before that is written down, Start is pressed."""
    simulated(node).power(container.instance_name, Power.RUNNING)
    seen = look_at(node)
    real = reports.correct

    def late(*args: Any) -> None:
        operations.request(container.pk, "start", by=lena)
        real(*args)

    monkeypatch.setattr(reports, "correct", late)
    observe.record_looks({node: seen})
    assert fresh(container).status == Status.BOOTING


@pytest.mark.parametrize("status", sorted(TRANSIENT))
def test_a_container_with_work_under_way_is_the_workers_business(
    status: Status, node: Node, lena: User, watcher: Watcher
) -> None:
    container = ContainerFactory.create(customer=lena, node=node, status=status)
    before = Container.objects.values().get()
    look(watcher, 2)
    assert Container.objects.values().get() == before
    assert history(container) == []


# --- nodes that take their time --------------------------------------------------------------


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """A node that answers nothing before the test has ended."""
    node, ended = NodeFactory.create(name="hanging"), threading.Event()

    def look_or_hang(asked: Node) -> reports.Look:
        if asked == node:
            ended.wait(30)
        return look_at(asked)

    monkeypatch.setattr(observe, "look_at", look_or_hang)
    yield node
    ended.set()


def test_a_hanging_node_delays_no_other(hanging: Node, lena: User, watcher: Watcher) -> None:
    quick = NodeFactory.create(name="quick")
    on_it = ContainerFactory.create(customer=lena, node=hanging, status=Status.RUNNING)
    elsewhere = ContainerFactory.create(customer=lena, node=quick, status=Status.RUNNING)
    simulated(quick).power(elsewhere.instance_name, Power.STOPPED)
    for _ in range(4):
        watcher.ask()
        while quick in watcher._pending.values():
            watcher.collect(seconds=0.05)
    assert fresh(elsewhere).status == Status.STOPPED
    assert fresh(on_it).status == Status.OFFLINE
    quick.refresh_from_db()
    assert (quick.online, quick.misses) == (True, 0)


def test_a_node_that_owes_an_answer_is_not_asked_again_meanwhile(
    node: Node, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, may_answer = [], threading.Event()

    def slowly(asked_node: Node) -> reports.Look:
        asked.append(asked_node)
        may_answer.wait(30)
        return look_at(asked_node)

    monkeypatch.setattr(observe, "look_at", slowly)
    for _ in range(3):
        watcher.ask()
        watcher.collect(seconds=0.02)
    may_answer.set()
    watcher.collect(seconds=10)
    assert asked == [node]


def test_a_node_that_was_given_up_while_its_answer_was_on_the_way_is_back_with_it(
    container: Container, node: Node, watcher: Watcher
) -> None:
    before = Node.objects.get()
    answer = look_at(node)
    broken(node, unplugged=True)
    look(watcher, 3)
    broken(node)
    observe.record_looks({before: answer})
    node.refresh_from_db()
    assert node.online
    assert fresh(container).status == Status.OFFLINE, "the answer is older than the loss"
    look(watcher)
    assert fresh(container).status == Status.STOPPED


def test_a_bug_in_a_driver_counts_as_a_miss(
    node: Node, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Node, *, timeout: float) -> Any:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(observe, "connect", fail)
    look(watcher)
    node.refresh_from_db()
    assert node.misses == 1
    assert "ZeroDivisionError" in node.problem


def test_an_error_that_no_database_takes_as_it_is_costs_no_other_node_its_answer(
    container: Container, node: Node, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL keeps no NUL."""
    odd = NodeFactory.create()

    def answer(asked: Node, **more: Any) -> Any:
        if asked == odd:
            raise Unreachable("bad \x00 answer")
        return connect(asked, **more)

    monkeypatch.setattr(observe, "connect", answer)
    simulated(node).power(container.instance_name, Power.RUNNING)
    look(watcher)
    odd.refresh_from_db()
    assert (odd.misses, odd.problem) == (1, "bad  answer")
    assert fresh(container).status == Status.RUNNING


def test_the_panel_and_the_node_agree_after_whatever_was_done_to_it(
    container: Container, node: Node, watcher: Watcher, lena: User, worker: Worker
) -> None:
    for power in (Power.RUNNING, Power.STOPPED, Power.RUNNING):
        simulated(node).power(container.instance_name, power)
        look(watcher)
    operations.request(container.pk, "stop", by=lena)
    worker.carry_out_all()
    look(watcher)
    assert fresh(container).status == Status.STOPPED
    assert power_of(container) is Power.STOPPED
