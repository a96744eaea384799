"""Which node gets a container: one that answers, is in service, and has the most room."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from containers import operations
from containers.models import Container, Node, Stray
from containers.placement import NoNodeFits, candidates, place, that_fit
from containers.room import with_room
from containers.statuses import Status
from panel.models import User
from tests.cast import ContainerFactory, NodeFactory, OperationFactory, room_on
from tests.conftest import Clock, Worker
from tests.containers.acts import broken

pytestmark = pytest.mark.django_db


@pytest.fixture
def ordered(lena: User) -> Container:
    return ContainerFactory.create(customer=lena, status=Status.ORDERED, memory_mb=1024, disk_gb=20)


def a_node(name: str, **fields: object) -> Node:
    return NodeFactory.create(name=name, **{"memory_mb": 8192, "disk_gb": 100} | fields)


def fill(
    node: Node, memory_mb: int, status: str = Status.STOPPED, disk_gb: int = 1, cpus: int = 1
) -> Container:
    return ContainerFactory.create(
        node=node, status=status, cpus=cpus, memory_mb=memory_mb, disk_gb=disk_gb, on_node=False
    )


def promised(node: Node) -> tuple[int, int, int, int]:
    return node.cpus_promised, node.memory_promised, node.disk_promised, node.containers_here


def has_failed(container: Container, node: Node, **fields: object) -> None:
    """An Operation on it, a creation unless something else is said, has ended on a node."""
    ended = {"kind": "create", "outcome": "failed", "was": "ordered", "during": "creating"} | fields
    OperationFactory.create(container=container, node=node, **ended)


def test_the_node_with_the_most_room_is_taken(ordered: Container) -> None:
    a_node("a-small", memory_mb=4096)
    most = a_node("b-large", memory_mb=8192)
    a_node("c-small", memory_mb=4096)
    assert place(ordered) == most


def test_it_is_the_room_left_that_counts(ordered: Container) -> None:
    """Neither how large a node is, nor how little is promised on it."""
    fill(a_node("large", memory_mb=8192), 6000)
    most_left = a_node("middle", memory_mb=6144)
    fill(most_left, 1000)
    a_node("small", memory_mb=4096)
    assert place(ordered) == most_left


@pytest.mark.parametrize("by_hand", [True, False])
def test_what_bears_another_number_says_nothing_of_where_it_goes(
    by_hand: bool, ordered: Container
) -> None:
    first, other = a_node("first"), a_node("other", memory_mb=4096)
    node = first if by_hand else other
    Stray.objects.create(node=node, number=ordered.pk + 1, by_hand=by_hand)
    assert place(ordered) == first


def test_the_node_on_which_it_has_failed_less_often_is_tried_next(ordered: Container) -> None:
    broken_one, other, last = a_node("a", memory_mb=65536), a_node("b"), a_node("c", memory_mb=4096)
    tried = []
    for _ in range(4):
        tried.append(place(ordered))
        has_failed(ordered, tried[-1])
    assert tried == [broken_one, other, last, broken_one]


def test_what_failed_of_another_container_or_went_well_is_not_held_against_a_node(
    ordered: Container,
) -> None:
    most, _ = a_node("most", memory_mb=65536), a_node("other")
    has_failed(ContainerFactory.create(status=Status.ORDERED), most)
    has_failed(ordered, most, kind="create", outcome="done")
    has_failed(ordered, most, kind="start")
    assert place(ordered) == most


def test_one_node_that_fails_keeps_no_order_from_being_created_on_another(
    ordered: Container, worker: Worker, clock: Clock
) -> None:
    most, other = a_node("most", memory_mb=65536), a_node("other")
    broken(most, failing=True)
    operations.request(ordered.pk, "create", by=None)
    worker.carry_out_all()
    clock.advance(60)
    operations.sweep()
    worker.carry_out_all()
    ordered.refresh_from_db()
    assert (ordered.status, ordered.node) == (Status.STOPPED, other)


def test_who_fits_elsewhere_is_who_finds_room_when_all_are_moved(ada: User) -> None:
    """Two with as much memory left, of which one has little disk: by name it is the first."""
    full = a_node("full", memory_mb=65536, disk_gb=1000)
    a_node("a-thin", memory_mb=8192, disk_gb=50)
    a_node("b-wide", memory_mb=8192, disk_gb=100)
    a_node("c-small", memory_mb=2048, disk_gb=200)
    moving = [
        fill(full, memory, disk_gb=disk)
        for memory, disk in ((1024, 40), (1024, 80), (7000, 60), (2048, 20), (512, 90))
    ]
    elsewhere = with_room(Node.objects.exclude(pk=full.pk))
    promised = [each.pk for each in that_fit(moving, elsewhere)]
    moved = [each.pk for each in moving if not operations.refusal(each.pk, "migrate", by=ada)]
    assert promised == moved
    assert 0 < len(moved) < len(moving)


@pytest.mark.parametrize("why", [{"online": False}, {"in_service": False}])
def test_a_node_that_is_off_line_or_out_of_service_is_never_taken(
    why: dict[str, bool], ordered: Container
) -> None:
    a_node("large", memory_mb=65536, **why)
    with pytest.raises(NoNodeFits):
        place(ordered)
    small = a_node("small", memory_mb=2048)
    assert place(ordered) == small


@pytest.mark.parametrize(
    ("has", "fits"),
    [
        ({"memory_mb": 1024, "disk_gb": 20}, True),
        ({"memory_mb": 1023, "disk_gb": 20}, False),
        ({"memory_mb": 1024, "disk_gb": 19}, False),
    ],
)
def test_it_has_to_fit_in_memory_and_on_disk(
    has: dict[str, int], fits: bool, ordered: Container
) -> None:
    a_node("only", **has)
    assert bool(candidates(ordered)) is fits


@pytest.mark.parametrize("status", [s for s in Status if s not in {"ordered", "destroyed"}])
def test_whatever_is_on_a_node_takes_its_room(status: Status, ordered: Container) -> None:
    node = a_node("only", memory_mb=2048)
    fill(node, 1500, status=status)
    room = room_on(node)
    assert (room.memory_left, room.containers_here) == (548, 1)
    assert node not in candidates(ordered)


def test_what_was_destroyed_takes_none(ordered: Container) -> None:
    node = a_node("only", memory_mb=1024)
    gone = fill(node, 1024, status=Status.DESTROYED)
    Container.objects.filter(pk=gone.pk).update(node=node)
    assert place(ordered) == node


def test_room_is_reserved_as_soon_as_creation_is_asked_for(lena: User) -> None:
    a_node("only", memory_mb=1024)
    first, second = (
        ContainerFactory.create(customer=lena, status=Status.ORDERED, memory_mb=1024)
        for _ in range(2)
    )
    operations.request(first.pk, "create", by=None)
    with pytest.raises(NoNodeFits):
        operations.request(second.pk, "create", by=None)


def test_one_that_moves_takes_room_on_both_nodes_until_it_is_there(
    ada: User, lena: User, worker: object
) -> None:
    old, new = a_node("old", memory_mb=2048), a_node("new", memory_mb=2048)
    moving = ContainerFactory.create(customer=lena, node=old, memory_mb=2048)

    def left() -> list[int]:
        return [room_on(node).memory_left for node in (old, new)]

    assert left() == [0, 2048]
    operation = operations.request(moving.pk, "migrate", by=ada)
    assert operation is not None
    assert operation.target == new
    assert left() == [0, 0]
    operations.carry_out(operation.pk)
    assert left() == [2048, 0]


def test_a_container_is_not_moved_to_where_it_is(lena: User) -> None:
    node = a_node("here", memory_mb=65536)
    other = a_node("there", memory_mb=2048)
    container = fill(node, 1024)
    assert list(candidates(container)) == [other]


def test_a_wish_for_a_node_is_granted_where_it_can_be(ordered: Container) -> None:
    a_node("most", memory_mb=65536)
    wanted, full = a_node("wanted"), a_node("full", memory_mb=100)
    assert place(ordered, wanted=wanted.pk) == wanted
    with pytest.raises(NoNodeFits):
        place(ordered, wanted=full.pk)
    with pytest.raises(NoNodeFits):
        place(ordered, wanted=10**9)


def test_room_is_counted_in_one_query(
    lena: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for name in ("a", "b", "c"):
        node = a_node(name)
        fill(node, 100, cpus=2)
        fill(node, 200, disk_gb=3, cpus=5)
    nodes = list(Node.objects.all())
    with django_assert_num_queries(1):
        found = with_room(nodes)
    assert set(map(promised, found)) == {(7, 300, 4, 2)}


def test_room_is_taken_where_a_container_is_and_where_it_goes(lena: User) -> None:
    here, there = a_node("here"), a_node("there")
    moving = fill(here, 100, status=Status.MIGRATING, cpus=2)
    moving.operations.update(target=there)
    fill(there, 200, disk_gb=3, cpus=5)
    rooms = [promised(node) for node in with_room([here, there])]
    assert rooms == [(2, 100, 1, 1), (7, 300, 4, 1)]
