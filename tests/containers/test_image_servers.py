"""What the image servers have, and that a node creates what it can fetch."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from containers import inventory, operations, server_inventory
from containers.connect import spec_of
from containers.drivers import ImageSource, NoImageServer, Progress, Spec
from containers.drivers.incus.catalogue import Catalogue
from containers.drivers.simulated import SimulatedDriver
from containers.models import Container, Node, NodeImage, ServerImage
from containers.observe import Watcher
from containers.placement import NoNodeFits, place
from containers.settling import NotPossible, create_again
from containers.statuses import Status
from panel.image_servers import read
from panel.models import User
from tests.cast import ContainerFactory, NodeFactory, PlanFactory, SystemFactory
from tests.conftest import Clock
from tests.containers.test_images import images_of, put_images
from tests.image_server import Streams, simplestreams

pytestmark = pytest.mark.django_db

SERVED = "images:debian/13"


@pytest.fixture
def server(tmp_path: Path, settings: Any) -> Iterator[Streams]:
    """The image server `images`, which has nothing yet."""
    with simplestreams(tmp_path) as server:
        settings.IMAGE_SERVERS = read({"images": server.setting})
        yield server


@pytest.fixture
def wanted(server: Streams) -> ServerImage:
    """A system on offer is made of it."""
    PlanFactory.create(systems=[SystemFactory.create(name="Debian 13", image=SERVED)])
    return ServerImage.objects.get(name=SERVED)


@pytest.fixture
def watcher(settings: Any) -> Watcher:
    settings.TAKE_STOCK_EVERY = 0
    return Watcher()


@pytest.fixture
def ordered(lena: User, wanted: ServerImage) -> Container:
    status = Status.ORDERED
    return ContainerFactory.create(customer=lena, status=status, system="Debian 13", image=SERVED)


def look(watcher: Watcher) -> None:
    """A beat of the watcher; and another, in which what servers say is there."""
    watcher.ask()
    wait(watcher._servers._pending.values(), timeout=60)
    watcher.collect(seconds=60)


def state() -> tuple[bool | None, str]:
    image = ServerImage.objects.get(name=SERVED)
    return image.is_there, image.state


# --- what is known ---------------------------------------------------------------------------


def test_the_watcher_keeps_what_a_server_has_up_to_date(
    server: Streams, wanted: ServerImage, watcher: Watcher
) -> None:
    assert state() == (None, "image server images has not been asked yet")
    look(watcher)
    assert state() == (False, "image server images does not have it")
    server.offer("debian/13")
    look(watcher)
    assert state() == (True, "")
    server.offer("debian/14")
    look(watcher)
    assert state() == (False, "image server images does not have it")


def test_a_server_that_does_not_answer_keeps_what_is_known_and_says_why(
    server: Streams, wanted: ServerImage, watcher: Watcher
) -> None:
    server.offer("debian/13")
    look(watcher)
    server.files.clear()
    look(watcher)
    there, why = state()
    assert there
    assert why.startswith("image server images does not answer: ")
    assert "404" in why


def test_a_server_that_is_not_in_the_settings_any_more_has_nothing(
    server: Streams, wanted: ServerImage, watcher: Watcher, settings: Any
) -> None:
    server.offer("debian/13")
    look(watcher)
    settings.IMAGE_SERVERS = {}
    look(watcher)
    assert state() == (False, "image server images does not have it")


def test_where_nothing_differs_nothing_is_written(
    wanted: ServerImage, watcher: Watcher, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    look(watcher)
    with django_assert_num_queries(1):
        server_inventory.keep("images", frozenset())


def test_a_server_of_which_nothing_is_made_is_left_in_peace(
    server: Streams, node: Node, watcher: Watcher
) -> None:
    SystemFactory.create()
    look(watcher)
    assert not server.asked


def test_a_server_is_asked_now_and_then_and_at_once_for_what_is_new(
    server: Streams, wanted: ServerImage, settings: Any
) -> None:
    settings.TAKE_STOCK_EVERY = 3600
    watcher = Watcher()
    for _ in range(3):
        look(watcher)
    asked = len(server.asked)
    assert asked == 2
    SystemFactory.create(name="Debian 14", image="images:debian/14")
    look(watcher)
    assert len(server.asked) == 2 * asked


def test_a_server_that_hangs_delays_nobody_and_is_not_asked_twice(
    node: Node, wanted: ServerImage, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = [], threading.Event()

    def hang(self: Catalogue, *, timeout: float) -> frozenset[str]:
        asked.append(timeout)
        answer.wait(60)
        raise NoImageServer("no answer")

    monkeypatch.setattr(Catalogue, "aliases", hang)
    began = time.monotonic()
    for _ in range(3):
        watcher.ask()
        watcher.collect(seconds=60)
    assert time.monotonic() - began < 30
    answer.set()
    assert len(asked) == 1
    assert Node.objects.get().seen_at is not None


def test_an_alias_on_a_node_is_never_taken_for_a_servers(node: Node, server: Streams) -> None:
    put_images(node, "debian/12", SERVED)
    inventory.learn(node)
    assert images_of(node) == {"debian/12"}


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("debian/12", ""),
        (SERVED, ""),
        ("elsewhere:debian/12", "There is no image server elsewhere. Known: images."),
        (":debian/12", "There is no image server . Known: images."),
        ("images:", "Say which image of images, as in images:debian/12."),
    ],
)
def test_what_a_system_is_made_of_is_checked(image: str, said: str, server: Streams) -> None:
    system = SystemFactory.build(name="Some", image=image)
    found = ""
    try:
        system.full_clean()
    except ValidationError as error:
        found = error.message_dict["image"][0]
    assert found == said


def test_a_node_is_told_the_server_and_not_only_its_name(server: Streams) -> None:
    def told(image: str) -> ImageSource | None:
        return spec_of(Container(pk=1, image=image)).source

    found = told(SERVED)
    assert found
    assert (found.url, found.protocol) == (server.url, "simplestreams")
    assert told("debian/12") is None
    assert told("elsewhere:debian/12") is None


# --- where a container is created --------------------------------------------------------------


def test_every_node_at_work_can_create_what_a_server_has(
    node: Node, wanted: ServerImage, ordered: Container
) -> None:
    NodeImage.objects.all().delete()
    with pytest.raises(NoNodeFits, match="No node has"):
        place(ordered)
    ServerImage.objects.update(is_there=True)
    assert place(ordered) == node
    NodeFactory.create(memory_mb=10**6, online=False)
    NodeFactory.create(memory_mb=10**6, in_service=False)
    assert place(ordered) == node


def test_a_container_waits_until_its_server_has_the_image_and_is_created_then(
    node: Node, server: Streams, ordered: Container, watcher: Watcher, worker: Any
) -> None:
    look(watcher)
    with pytest.raises(NoNodeFits, match="No node has"):
        operations.request(ordered.pk, "create", by=None)
    server.offer("debian/13")
    look(watcher)
    operations.request(ordered.pk, "create", by=None)
    worker.carry_out_all()
    ordered.refresh_from_db()
    assert (ordered.status, ordered.node, ordered.problem) == (Status.STOPPED, node, "")


def test_one_that_its_node_has_lost_is_created_again_if_its_server_has_it(
    node: Node, lena: User, ada: User, wanted: ServerImage
) -> None:
    here = {"node": node, "status": Status.OFFLINE, "missing": True}
    lost = ContainerFactory.create(customer=lena, image=SERVED, on_node=False, **here)
    with pytest.raises(NotPossible):
        create_again(node, lost.pk, by=ada)
    ServerImage.objects.update(is_there=True)
    create_again(node, lost.pk, by=ada)
    lost.refresh_from_db()
    assert lost.status == Status.CREATING


def test_a_server_that_a_node_cannot_reach_is_tried_again_and_the_container_says_so(
    node: Node, ordered: Container, worker: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ServerImage.objects.update(is_there=True)
    real = SimulatedDriver.create

    def silent(self: SimulatedDriver, spec: Spec) -> Iterator[Progress]:
        yield Progress(10, "Fetching the system")
        raise NoImageServer("connection refused")

    monkeypatch.setattr(SimulatedDriver, "create", silent)
    operations.request(ordered.pk, "create", by=None)
    worker.carry_out_all()
    ordered.refresh_from_db()
    assert (ordered.status, ordered.problem) == (Status.CREATING, NoImageServer.sentence)
    assert ordered.operation
    assert ordered.operation.attempts == 1
    assert Node.objects.get().online

    monkeypatch.setattr(SimulatedDriver, "create", real)
    clock.advance(60)
    operations.sweep()
    worker.carry_out_all()
    ordered = Container.objects.get()
    assert (ordered.status, ordered.problem) == (Status.STOPPED, "")


# --- what is shown -----------------------------------------------------------------------------


def page_of(node: Node, browser: Client) -> str:
    return browser.get(f"/nodes/{node.pk}/").content.decode()


def test_a_nodes_page_shows_what_it_can_fetch_and_what_it_cannot(
    node: Node, wanted: ServerImage, as_ada: Client, server: Streams, watcher: Watcher
) -> None:
    server.offer("debian/13")
    look(watcher)
    fine = page_of(node, as_ada)
    assert SERVED in fine
    assert "On offer" not in fine
    server.offer()
    look(watcher)
    assert "images does not have it" in page_of(node, as_ada)
    server.files.clear()
    look(watcher)
    assert "images does not answer" in page_of(node, as_ada)


def test_a_nodes_page_is_fresh_once_a_server_has_answered(
    node: Node, wanted: ServerImage, as_ada: Client
) -> None:
    page, htmx = f"/nodes/{node.pk}/", {"HX-Request": "true"}
    seen = {"seen": as_ada.get(page).context["seen"]}
    assert as_ada.get(page, seen, headers=htmx).status_code == 204
    ServerImage.objects.update(is_there=True)
    assert as_ada.get(page, seen, headers=htmx).status_code == 200
