"""Where database and node disagree: it is seen, and nothing is done about it."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
from django.core.management.color import no_style
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from containers import inventory, operations
from containers import strays as noting
from containers.connect import spec_of
from containers.differences import differences_on
from containers.drivers import Instance, Power
from containers.drivers.simulated import Faults
from containers.ids import LEAP, reserve
from containers.models import Container, Node, Operation, Stray
from containers.observe import look_at, record_looks
from containers.placement import NoNodeFits
from containers.reports import Look
from containers.settling import NotPossible, adopt
from containers.statuses import TRANSIENT, Status
from containers.views import nodes as pages
from panel.models import User
from tests.cast import ContainerFactory, effects_on
from tests.conftest import Clock, Worker
from tests.tampering import simulated

from .conftest import fresh, has_moved, look, move_by_hand, put, strays, told

pytestmark = pytest.mark.django_db


# --- seen ----------------------------------------------------------------------------------------


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


def test_of_a_node_that_names_without_end_no_more_is_noted_than_is_settled_one_after_the_other(
    node: Node, other_node: Node, as_ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noting, "MOST", 2)
    for number in (977, 978, 979):
        put(node, number)
    put(other_node)
    look()
    assert strays() == [("node-a", 977), ("node-a", 978), ("node-b", 977)]
    more = "No more than 2 are noted at once"
    assert more in as_ada.get(node.get_absolute_url()).content.decode()
    assert more not in as_ada.get(other_node.get_absolute_url()).content.decode()
    simulated(node).lose("ct-977")
    look()
    assert strays() == [("node-a", 978), ("node-a", 979), ("node-b", 977)]


def test_differences_are_shown_in_pages_beside_those_of_the_containers(
    node: Node, lena: User, as_ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "ROWS_PER_PAGE", 1)
    for number in (977, 978):
        put(node, number)
        ContainerFactory.create(customer=lena, node=node, status=Status.STOPPED)
    look()
    first, second = (
        as_ada.get(f"{node.get_absolute_url()}{where}").content.decode()
        for where in ("", "?page=2&differences=2")
    )
    assert [re.findall(r'id="difference-(\d+)"', page) for page in (first, second)] == [
        ["977"], ["978"],
    ]  # fmt: skip
    assert 'href="?page=1&amp;differences=2"' in first
    assert 'href="?differences=2&amp;page=1"' in second
    assert 'aria-label="Pages of differences"' in second
    [poll] = re.findall(r'data-poll hx-get="([^"]+)"', second)
    assert as_ada.get(unescape(poll), headers={"HX-Request": "true"}).status_code == 204


def test_what_a_node_does_not_have_is_never_left_out(
    missing: Container, node: Node, as_ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noting, "MOST", 1)
    page = as_ada.get(node.get_absolute_url()).content.decode()
    assert missing.instance_name in page
    assert "No more than" not in page


def test_a_node_that_names_more_than_a_database_can_be_asked_about_holds_up_no_other(
    node: Node, other_node: Node
) -> None:
    named = {name: Instance(name, Power.STOPPED) for name in map("ct-{}".format, range(1, 300_000))}
    put(other_node)
    record_looks({node: Look(timezone.now(), named), other_node: look_at(other_node)})
    assert ("node-b", 977) in strays()
    inventory.keep(node, replace(inventory.ask(node), unfinished=dict.fromkeys(named, True)))


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


def test_work_that_leads_to_another_node_accounts_for_nothing_here(
    container: Container, other_node: Node, lena: User
) -> None:
    put(other_node, container.pk, labels=spec_of(container).labels)
    operations.request(container.pk, "start", by=lena)
    look()
    assert strays() == [("node-b", container.pk)]


def test_what_was_destroyed_or_moved_since_the_question_was_asked_is_no_difference(
    container: Container, node: Node, other_node: Node, ada: User, worker: Worker
) -> None:
    going = ContainerFactory.create(node=node)
    seen = look_at(node)
    operations.request(container.pk, "migrate", by=ada)
    operations.request(going.pk, "destroy", by=ada)
    worker.carry_out_all()
    record_looks({node: seen})
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
    has_moved(twice, node, outcome="failed")
    moved = ContainerFactory.create(customer=lena, node=other_node)
    move_by_hand(moved, node)
    put(node)
    look()
    assert sorted(told(node)) == sorted(
        [
            (destroyed.instance_name, True, []),
            (twice.instance_name, True, ["remove_copy"]),
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


@pytest.mark.parametrize("by_hand", [True, False])
def test_what_is_another_one_of_its_number_does_not_keep_a_container_from_being_created(
    by_hand: bool, node: Node, other_node: Node, ada: User, worker: Worker, clock: Clock
) -> None:
    ordered = ContainerFactory.create(status=Status.ORDERED)
    labels = {} if by_hand else {"ordered-at": "2020-01-01T00:00:00+00:00"}
    put(node, ordered.pk, by_hand=by_hand, labels=labels)
    look()
    assert told(node) == [(ordered.instance_name, True, [])]
    assert "cannot be created here" in differences_on(node)[0].text

    Node.objects.filter(pk=other_node.pk).update(in_service=False)
    with pytest.raises(NoNodeFits, match="is another one"):
        operations.request(ordered.pk, "create", by=ada)
    assert fresh(ordered).problem.startswith(f"What is called ct-{ordered.pk} on node-a is another")

    Node.objects.filter(pk=other_node.pk).update(in_service=True)
    clock.advance(60)
    operations.sweep()
    worker.carry_out_all()
    assert (fresh(ordered).status, fresh(ordered).node) == (Status.STOPPED, other_node)


@pytest.mark.parametrize("marked", [True, False])
def test_one_that_was_created_already_is_found_where_it_is(
    marked: bool, node: Node, other_node: Node, ada: User, worker: Worker
) -> None:
    """After a restore. It was marked with the moment of its order, or made before any was."""
    ordered = ContainerFactory.create(status=Status.ORDERED)
    put(other_node, ordered.pk, labels=spec_of(ordered).labels if marked else {})
    look()
    operations.request(ordered.pk, "create", by=ada)
    worker.carry_out_all()
    assert (fresh(ordered).status, fresh(ordered).node) == (Status.STOPPED, other_node)
    assert effects_on(node, other_node, of=ordered) == ["created"]


# --- numbers -------------------------------------------------------------------------------------


def test_no_new_container_is_given_the_number_of_an_instance_that_is_there(
    node: Node, stray: int, lena: User
) -> None:
    assert ContainerFactory.create(customer=lena, on_node=False).pk > stray


def test_the_numbers_of_several_are_all_kept_free(node: Node, lena: User) -> None:
    before = ContainerFactory.create(customer=lena, on_node=False).pk
    for ahead in (1, 2):
        put(node, before + ahead)
    record_looks({node: look_at(node)})
    assert ContainerFactory.create(customer=lena, on_node=False).pk == before + 3


def test_the_very_first_number_is_kept_free_like_any_other(node: Node, lena: User) -> None:
    sequence = {"table": Container._meta.db_table, "column": "id"}
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_by_name_sql(no_style(), [sequence]):
            cursor.execute(statement)
    put(node, 1)
    look()
    assert ContainerFactory.create(customer=lena, on_node=False).pk == 2


@pytest.mark.django_db(transaction=True)
def test_while_numbers_are_reserved_none_is_given(lena: User) -> None:
    def another() -> int:
        try:
            return ContainerFactory.create(customer=lena, on_node=False).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as others:
        with transaction.atomic():
            reserve(Container, 1)
            given = others.submit(another)
            assert not wait([given], timeout=0.5).done
        assert given.result() > 1


def test_numbers_go_on_from_where_they_were_beyond_a_reserved_one(lena: User) -> None:
    first = ContainerFactory.create(customer=lena, on_node=False).pk
    reserve(Container, first - 1)
    reserve(Container, first)
    second = ContainerFactory.create(customer=lena, on_node=False).pk
    assert second == first + 1
    reserve(Container, second + 20)
    assert ContainerFactory.create(customer=lena, on_node=False).pk == second + 21


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_number_that_is_far_off_does_not_make_the_next_one_unreadable(
    node: Node, lena: User, ada: User, by_hand: bool
) -> None:
    before = ContainerFactory.create(customer=lena, on_node=False).pk
    put(node, 999_999_999_999, by_hand=by_hand)
    look()
    assert strays() == [("node-a", 999_999_999_999)]
    with pytest.raises(NotPossible, match="Rename it there first"):
        adopt(node, 999_999_999_999, customer=lena, name="old", by=ada)
    assert ContainerFactory.create(customer=lena, on_node=False).pk == before + 1


def test_a_number_that_was_far_off_is_kept_free_once_it_is_near(node: Node, lena: User) -> None:
    far = ContainerFactory.create(customer=lena, on_node=False).pk + LEAP + 10
    put(node, far)
    look()
    reserve(Container, far - 5)
    inventory.keep(node, inventory.ask(node))
    assert ContainerFactory.create(customer=lena, on_node=False).pk == far + 1


def test_ordering_goes_on_after_an_adoption(node: Node, stray: int, lena: User, ada: User) -> None:
    adopt(node, stray, customer=lena, name="old", by=ada)
    numbers = [ContainerFactory.create(customer=lena, on_node=False).pk for _ in range(2)]
    assert len({stray, *numbers}) == 3
