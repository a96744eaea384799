"""Which nodes have which images, and that nothing is created where its image is not."""

from __future__ import annotations

import threading
from concurrent.futures import wait
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from containers import inventory, operations
from containers.connect import simulated
from containers.drivers import DriverError, Resources
from containers.drivers.simulated import Faults, SimulatedDriver
from containers.models import Container, Node, NodeImage
from containers.observe import Watcher
from containers.placement import NO_ROOM, NoNodeFits, candidates, place
from containers.statuses import Status
from panel.models import User
from tests.cast import IMAGE, ContainerFactory, NodeFactory, PlanFactory, SystemFactory
from tests.conftest import Clock

pytestmark = pytest.mark.django_db

UBUNTU = {"system": "Ubuntu 24.04", "image": "ubuntu/24.04"}


def images_of(node: Node) -> set[str]:
    return set(NodeImage.objects.filter(node=node).values_list("name", flat=True))


def put_images(node: Node, *images: str) -> SimulatedDriver:
    """What the node itself has from now on; the panel is not told."""
    has = Resources(node.cpus, node.memory_mb, node.disk_gb)
    return SimulatedDriver.install(django_settings.DATA / "nodes" / node.name, has, images, pace=0)


def look(watcher: Watcher) -> None:
    """A beat of the watcher; and another, in which what nodes say that they have is there."""
    watcher.ask()
    watcher.collect(seconds=60)
    wait(watcher._stock._pending, timeout=60)
    watcher.collect(seconds=60)


@pytest.fixture
def watcher(settings: Any) -> Watcher:
    settings.TAKE_STOCK_EVERY = 0
    return Watcher()


@pytest.fixture
def ordered(lena: User) -> Container:
    """One with Ubuntu, which no node has yet."""
    return ContainerFactory.create(customer=lena, status=Status.ORDERED, **UBUNTU)


# --- what is known ---------------------------------------------------------------------------


def test_what_a_new_node_has_is_learned_in_one_go(node: Node) -> None:
    NodeImage.objects.all().delete()
    Node.objects.update(cpus=0, memory_mb=0, disk_gb=0, version="")
    put_images(node, "debian/12", "ubuntu/24.04")
    blank = Node.objects.get()
    inventory.learn(blank)
    assert images_of(node) == {"debian/12", "ubuntu/24.04"}
    for known in (blank, Node.objects.get()):
        assert (known.cpus, known.memory_mb, known.disk_gb) == (16, 65536, 1000)
        assert known.version == "simulated"


def test_of_a_node_that_does_not_answer_nothing_is_learned(node: Node) -> None:
    simulated(node).set_faults(Faults(unplugged=True))
    with pytest.raises(DriverError):
        inventory.learn(node)
    assert images_of(node) == {IMAGE}


def test_the_watcher_keeps_what_nodes_have_up_to_date(
    node: Node, other_node: Node, watcher: Watcher
) -> None:
    put_images(node, "debian/13", "alpine/3.20")
    look(watcher)
    assert images_of(node) == {"debian/13", "alpine/3.20"}
    assert images_of(other_node) == {IMAGE}
    put_images(node)
    look(watcher)
    assert images_of(node) == set()


def test_the_watcher_leaves_the_room_that_an_administrator_has_set(
    node: Node, watcher: Watcher
) -> None:
    Node.objects.update(memory_mb=1000, version="old")
    look(watcher)
    node.refresh_from_db()
    assert (node.memory_mb, node.version) == (1000, "simulated")


def test_where_nothing_differs_nothing_is_written(node: Node, watcher: Watcher) -> None:
    look(watcher)
    with CaptureQueriesContext(connection) as queries:
        look(watcher)
    written = [q["sql"] for q in queries if q["sql"].startswith(("INSERT", "DELETE", "UPDATE"))]
    assert not [sql for sql in written if "nodeimage" in sql or '"version"' in sql]


def test_nodes_are_asked_now_and_then_and_not_at_every_look(
    node: Node, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = SimulatedDriver.images

    def images(self: SimulatedDriver) -> list[str]:
        asked.append(self.root.name)
        return real(self)

    monkeypatch.setattr(SimulatedDriver, "images", images)
    settings.TAKE_STOCK_EVERY = 60
    watcher = Watcher()
    for _ in range(3):
        look(watcher)
    assert asked == ["node-a"]


def test_a_node_that_is_back_is_asked_at_once(node: Node, settings: Any) -> None:
    settings.TAKE_STOCK_EVERY = 3600
    settings.MISSES_UNTIL_OFFLINE = 1
    watcher = Watcher()
    look(watcher)
    simulated(node).set_faults(Faults(unplugged=True))
    look(watcher)
    assert not Node.objects.get().online
    look(watcher)
    put_images(node, "debian/13").set_faults(Faults())
    look(watcher)
    look(watcher)
    assert images_of(node) == {"debian/13"}


def test_a_node_that_is_slow_to_say_what_it_has_delays_no_look_and_no_other_node(
    node: Node, other_node: Node, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, may_answer = SimulatedDriver.images, threading.Event()

    def images(self: SimulatedDriver) -> list[str]:
        if self.root.name == "node-a":
            may_answer.wait(30)
        return real(self)

    monkeypatch.setattr(SimulatedDriver, "images", images)
    put_images(other_node, "alpine/3.20")
    watcher.ask()
    while images_of(other_node) == {IMAGE}:
        watcher.collect(seconds=60)
    may_answer.set()
    assert images_of(other_node) == {"alpine/3.20"}
    assert images_of(node) == {IMAGE}
    assert Node.objects.filter(misses=0, seen_at__isnull=False).count() == 2


def test_an_odd_answer_of_one_node_costs_no_other_its_look(
    node: Node, other_node: Node, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    has = SimulatedDriver.images

    def images(driver: SimulatedDriver) -> Any:
        if driver.root.name == node.name:
            raise KeyError("aliases")
        return has(driver)

    monkeypatch.setattr(SimulatedDriver, "images", images)
    put_images(other_node, "alpine/3.20")
    Node.objects.update(misses=1)
    look(watcher)
    assert set(Node.objects.values_list("misses", flat=True)) == {0}
    assert images_of(node) == {IMAGE}
    assert images_of(other_node) == {"alpine/3.20"}


def test_a_node_that_does_not_say_what_it_has_keeps_what_is_known(
    node: Node, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: SimulatedDriver) -> list[str]:
        raise DriverError("not now")

    monkeypatch.setattr(SimulatedDriver, "images", refuse)
    look(watcher)
    assert images_of(node) == {IMAGE}
    assert Node.objects.get().online


# --- where a container is created --------------------------------------------------------------


def test_a_new_container_goes_to_a_node_that_has_its_image(
    node: Node, other_node: Node, ordered: Container
) -> None:
    other_node.images.create(name="ubuntu/24.04")
    assert list(candidates(ordered)) == [other_node]
    assert place(ordered) == other_node


def test_a_node_of_which_nothing_is_known_yet_gets_nothing(node: Node, lena: User) -> None:
    NodeImage.objects.all().delete()
    with pytest.raises(NoNodeFits, match="No node has Debian"):
        place(ContainerFactory.create(customer=lena, status=Status.ORDERED))


@pytest.mark.parametrize("why", [{"online": False}, {"in_service": False}])
def test_an_image_where_nothing_can_be_created_does_not_count(
    why: dict[str, bool], node: Node, ordered: Container
) -> None:
    NodeFactory.create(**why).images.create(name="ubuntu/24.04")
    with pytest.raises(NoNodeFits, match="No node has Ubuntu"):
        place(ordered)


def test_it_is_room_that_is_missing_where_a_full_node_has_the_image(
    node: Node, ordered: Container
) -> None:
    NodeFactory.create(memory_mb=10).images.create(name="ubuntu/24.04")
    with pytest.raises(NoNodeFits) as raised:
        place(ordered)
    assert raised.value.sentence == NO_ROOM


def test_without_any_node_at_work_it_is_not_the_image_that_is_missing(
    ordered: Container,
) -> None:
    NodeFactory.create(online=False)
    with pytest.raises(NoNodeFits) as raised:
        place(ordered)
    assert raised.value.sentence == NO_ROOM


def test_a_container_whose_system_no_node_has_says_so_and_is_created_once_one_has_it(
    node: Node, ordered: Container, settings: Any, worker: Any, clock: Clock
) -> None:
    with pytest.raises(NoNodeFits, match="No node has Ubuntu"):
        operations.request(ordered.pk, "create", by=None)
    ordered.refresh_from_db()
    assert ordered.status == Status.ORDERED
    assert ordered.problem.startswith("No node has Ubuntu 24.04 just now.")
    assert ordered.create_again_at is not None

    put_images(node, IMAGE, "ubuntu/24.04")
    node.images.create(name="ubuntu/24.04")
    clock.advance(settings.ROOM_PAUSE + 1)
    operations.sweep()
    worker.carry_out_all()
    ordered.refresh_from_db()
    assert (ordered.status, ordered.node, ordered.problem) == (Status.STOPPED, node, "")


def test_an_administrators_create_says_it_too(
    node: Node, ordered: Container, as_ada: Client
) -> None:
    answer = as_ada.post(f"/containers/{ordered.pk}/act/", {"action": "create"})
    assert answer.status_code == 409
    assert "No node has Ubuntu 24.04 just now." in answer.content.decode()


def test_what_moves_needs_no_image_where_it_goes(
    node: Node, other_node: Node, lena: User, ada: User, worker: Any
) -> None:
    moving = ContainerFactory.create(customer=lena, node=node, **UBUNTU)
    operations.request(moving.pk, "migrate", by=ada)
    worker.carry_out_all()
    moving.refresh_from_db()
    assert (moving.node, moving.status) == (other_node, Status.STOPPED)


# --- what is shown -----------------------------------------------------------------------------


def test_a_nodes_page_shows_its_images_and_what_of_the_offer_it_lacks(
    node: Node, as_ada: Client
) -> None:
    ubuntu = SystemFactory.create(name="Ubuntu 24.04", image="ubuntu/24.04")
    old = SystemFactory.create(name="Etch", image="debian/4")
    PlanFactory.create(systems=[SystemFactory.create(), ubuntu])
    PlanFactory.create(name="Gone", is_offered=False, systems=[old])
    node.images.create(name="rocky/9")
    page = as_ada.get(f"/nodes/{node.pk}/").content.decode()
    assert "rocky/9" in page
    lacks = page.partition("On offer, and not here:")[2].partition("</section>")[0]
    assert "Ubuntu 24.04" in lacks
    assert "Debian 12" not in lacks
    assert "Etch" not in page


def test_a_nodes_page_is_fresh_once_its_images_are_others(node: Node, as_ada: Client) -> None:
    page = f"/nodes/{node.pk}/"
    htmx = {"HX-Request": "true"}
    seen = {"seen": as_ada.get(page).context["seen"]}
    assert as_ada.get(page, seen, headers=htmx).status_code == 204
    node.images.create(name="rocky/9")
    assert as_ada.get(page, seen, headers=htmx).status_code == 200
