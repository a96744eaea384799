"""The nodes' pages: for administrators alone; their state, their room, and emptying them."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from containers import inventory, registration
from containers.connect import simulated
from containers.drivers import Resources, Unreachable
from containers.drivers.incus import Server
from containers.drivers.simulated import Faults
from containers.models import Container, Node
from containers.observe import missed
from containers.statuses import Status
from containers.views import nodes as views
from panel.models import User
from tests.cast import ContainerFactory, NodeFactory
from tests.conftest import Worker

PAGES = ["/nodes/", "/nodes/{}/", "/nodes/{}/move/"]
POSTS = ["/nodes/{}/service/", "/nodes/{}/move/", "/nodes/{}/faults/"]


@pytest.mark.parametrize("page", PAGES)
def test_nodes_are_pages_for_administrators(page: str, node: Node, as_ada: Client) -> None:
    answer = as_ada.get(page.format(node.pk))
    assert answer.status_code == 200
    assert node.name in answer.content.decode()
    assert "simulated" in as_ada.get("/nodes/").content.decode()


@pytest.mark.parametrize("page", PAGES)
def test_to_everybody_else_there_are_no_nodes(
    page: str, node: Node, client: Client, as_lena: Client, as_sten: Client
) -> None:
    url = page.format(node.pk)
    assert as_lena.get(url).status_code == 404
    assert as_sten.get(url).status_code == 404
    assert client.get(url)["Location"].startswith("/account/login/")


@pytest.mark.parametrize("post", POSTS)
def test_nobody_else_touches_a_node(
    post: str, container: Container, as_lena: Client, as_sten: Client
) -> None:
    node = container.node
    assert node is not None
    NodeFactory.create()
    for somebody in (as_lena, as_sten):
        assert somebody.post(post.format(node.pk), {"unplugged": "on"}).status_code == 404
    node.refresh_from_db()
    container.refresh_from_db()
    assert node.in_service
    assert container.status == Status.STOPPED
    assert simulated(node).faults() == Faults()


@pytest.mark.parametrize("post", ["/nodes/{}/service/", "/nodes/{}/faults/"])
def test_what_changes_a_node_is_not_done_by_following_a_link(
    post: str, node: Node, as_ada: Client
) -> None:
    assert as_ada.get(post.format(node.pk)).status_code == 405


def test_the_list_shows_what_is_promised_and_what_is_left(
    container: Container, other_node: Node, as_ada: Client
) -> None:
    page = as_ada.get("/nodes/").content.decode()
    for shown in ("1 GB of 64 GB", "63 GB left", "20 of 1000 GB", "980 GB left", "1 of 16 cores"):
        assert shown in page


def test_the_list_asks_as_much_for_many_nodes_as_for_one(
    as_ada: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(10):
        NodeFactory.create()
    with django_assert_max_num_queries(7):
        as_ada.get("/nodes/")


def test_many_nodes_have_pages_and_a_poll_stays_on_its_own(as_ada: Client) -> None:
    for number in range(51):
        NodeFactory.create(name=f"node-{number:02}")
    page = as_ada.get("/nodes/?page=2").content.decode()
    assert "node-50" in page
    assert "node-49" not in page
    address = page.split('data-poll hx-get="')[1].split('"')[0].replace("&amp;", "&")
    assert as_ada.get(address, headers={"HX-Request": "true"}).status_code == 204


def test_of_servers_of_which_one_does_not_answer_none_is_added(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(node: Node) -> inventory.Inventory:
        if node.name == "fsn-2":
            raise Unreachable("no answer in time")
        room = Resources(8, 8192, 100, "6.0")
        return inventory.Inventory(timezone.now(), room, frozenset(), {})

    monkeypatch.setattr(inventory, "ask", ask)
    monkeypatch.setattr(registration, "_by_member", lambda server: {})
    chosen = [("fsn-1", "one"), ("fsn-2", "two")]
    with pytest.raises(Unreachable):
        registration.add(Server("/incus.socket"), pool="default", chosen=chosen)
    assert not Node.objects.exists()
    [added] = registration.add(Server("/incus.socket"), pool="default", chosen=chosen[:1])
    assert (added.cpus, Node.objects.get().memory_mb) == (8, 8192)


def test_no_nodes_is_a_page_too(as_ada: Client) -> None:
    page = as_ada.get("/nodes/").content.decode()
    assert "No nodes yet" in page
    [way_on] = re.findall(r'<a class="btn primary" href="([^"]+)">Add a node</a>', page)
    assert as_ada.get(way_on).status_code == 200


def test_a_node_that_is_off_line_says_since_when_and_why(
    container: Container, as_ada: Client
) -> None:
    node = container.node
    assert node is not None
    for _ in range(3):
        missed(node, "no route to host")
    for page in ("/nodes/", f"/nodes/{node.pk}/"):
        shown = as_ada.get(page).content.decode()
        assert 'data-status="offline"' in shown
        assert "no route to host" in shown
        assert node.online_since.astimezone().isoformat(timespec="seconds")[:16] in shown
    assert "none while off-line" in as_ada.get("/nodes/").content.decode()


def test_a_node_shows_who_lives_there_and_who_is_coming(
    container: Container, other_node: Node, as_ada: Client
) -> None:
    node = container.node
    assert node is not None
    arriving = ContainerFactory.create(name="coming", node=other_node, status=Status.MIGRATING)
    arriving.operations.update(target=node)
    page = as_ada.get(f"/nodes/{node.pk}/").content.decode()
    assert container.get_absolute_url() in page
    assert "Lena Fischer" in page
    assert "On their way here" in page
    assert "coming" in page


def test_a_poll_gets_nothing_until_something_changes(container: Container, as_ada: Client) -> None:
    node = container.node
    assert node is not None
    htmx = {"HX-Request": "true"}
    for page in ("/nodes/", f"/nodes/{node.pk}/"):
        first = as_ada.get(page, headers=htmx)
        assert "<html" not in first.content.decode()
        seen = {"seen": first.context["seen"]}
        assert as_ada.get(page, seen, headers=htmx).status_code == 204
        Node.objects.filter(pk=node.pk).update(in_service=not node.in_service)
        node.refresh_from_db()
        fresh = as_ada.get(page, seen, headers=htmx)
        assert fresh.status_code == 200
        assert fresh.context["seen"] != seen["seen"]


def test_a_node_that_stays_away_is_nothing_new_and_is_said_once(node: Node, as_ada: Client) -> None:
    Node.objects.update(online=False, misses=3, problem="no route to host")
    page = as_ada.get(f"/nodes/{node.pk}/")
    head = page.content.decode().partition('id="node"')[2]
    assert f'data-announce="{node.name} is Off-line."' in head
    # It would be said anew whenever a poll brings it.
    assert 'role="alert"' not in head.partition('id="dialog"')[0]
    for misses, address in enumerate(("/nodes/", f"/nodes/{node.pk}/"), start=4):
        seen = {"seen": as_ada.get(address).context["seen"]}
        Node.objects.update(misses=misses)
        again = as_ada.get(address, seen, headers={"HX-Request": "true"})
        assert again.status_code == 204, address


@pytest.mark.parametrize("status", [Status.STOPPED, Status.BOOTING])
def test_a_page_asks_again_soon_while_something_is_under_way(
    status: Status, node: Node, as_ada: Client
) -> None:
    ContainerFactory.create(node=node, status=status)
    for page in ("/nodes/", f"/nodes/{node.pk}/"):
        often = "every 2s" if status == Status.BOOTING else "every 15s"
        assert often in as_ada.get(page).content.decode()


def test_a_node_is_taken_out_of_service_and_put_back(node: Node, as_ada: Client) -> None:
    url = f"/nodes/{node.pk}/service/"
    answer = as_ada.post(url, {"off": ""}, follow=True)
    node.refresh_from_db()
    assert not node.in_service
    assert "takes no new containers" in answer.content.decode()
    assert "Out of service" in as_ada.get("/nodes/").content.decode()
    as_ada.post(url, {"on": ""})
    node.refresh_from_db()
    assert node.in_service


def test_before_all_is_moved_it_is_said_what_can_and_what_cannot(
    container: Container, other_node: Node, as_ada: Client
) -> None:
    node = container.node
    assert node is not None
    ContainerFactory.create(name="in-repair", node=node, status=Status.REPAIRING)
    page = as_ada.get(f"/nodes/{node.pk}/move/").content.decode()
    assert "1 container will move, 1 cannot" in page
    assert "in-repair" in page
    assert "Stopped or Running" in page
    assert "no room" not in page
    container.refresh_from_db()
    assert container.status == Status.STOPPED


def test_before_all_is_moved_it_is_said_where_there_is_no_room(
    container: Container, as_ada: Client
) -> None:
    assert container.node is not None
    NodeFactory.create(memory_mb=512)
    NodeFactory.create(online=False)
    NodeFactory.create(in_service=False)
    NodeFactory.create(kind=Node.Kind.INCUS)
    page = as_ada.get(f"/nodes/{container.node.pk}/move/").content.decode()
    assert "no other node in service has room" in page
    assert 'name="out"' not in page


def test_as_many_are_promised_to_move_as_find_room(
    node: Node, lena: User, as_ada: Client, worker: Worker
) -> None:
    """In two halves of a node there is no room for one that wants three quarters."""
    for memory in (512, 512, 768):
        ContainerFactory.create(customer=lena, node=node, memory_mb=memory)
    NodeFactory.create_batch(2, memory_mb=1024)
    page = as_ada.get(f"/nodes/{node.pk}/move/").content.decode()
    assert "2 containers will move" in page
    assert "For 1 more there is no room" in page
    as_ada.post(f"/nodes/{node.pk}/move/")
    worker.carry_out_all()
    assert node.containers.count() == 1


def test_all_that_can_is_moved_and_nothing_new_comes(
    lena: User, ada: User, node: Node, other_node: Node, as_ada: Client, worker: Worker
) -> None:
    moving = [
        ContainerFactory.create(node=node, status=Status.STOPPED, customer=lena),
        ContainerFactory.create(node=node, status=Status.RUNNING),
    ]
    staying = ContainerFactory.create(node=node, status=Status.REPAIRING)
    answer = as_ada.post(f"/nodes/{node.pk}/move/", {"out": "on"})
    assert answer.status_code == 200
    assert answer.content.decode().count("accepted") == 2
    node.refresh_from_db()
    assert not node.in_service
    worker.carry_out_all()
    for container, status in zip(moving, (Status.STOPPED, Status.RUNNING), strict=True):
        container.refresh_from_db()
        assert (container.node, container.status) == (other_node, status)
        assert container.operations.get().asked_by == ada
    staying.refresh_from_db()
    assert (staying.node, staying.status) == (node, Status.REPAIRING)


def test_more_than_can_be_moved_at_once_are_moved_one_part_after_the_other(
    node: Node, other_node: Node, as_ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "AT_ONCE", 2)
    ContainerFactory.create_batch(3, node=node, status=Status.STOPPED)
    url = f"/nodes/{node.pk}/move/"
    page = as_ada.get(url).content.decode()
    assert "2 containers will move" in page
    assert "Another 1 can move afterwards" in page
    page = as_ada.post(url).content.decode()
    assert page.count("accepted") == 2
    assert "Another 1 can move" in page


def test_what_finds_no_room_stays_and_says_so(node: Node, as_ada: Client) -> None:
    NodeFactory.create(memory_mb=1500)
    first, second = (ContainerFactory.create(node=node, name=name) for name in ("aa", "bb"))
    page = as_ada.post(f"/nodes/{node.pk}/move/").content.decode()
    assert page.count("accepted") == 1
    assert "No other node in service has room for" in page
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == (Status.MIGRATING, Status.STOPPED)
    assert second.problem == ""


def test_moving_twice_moves_once(container: Container, other_node: Node, as_ada: Client) -> None:
    assert container.node is not None
    url = f"/nodes/{container.node.pk}/move/"
    as_ada.post(url)
    assert "None of its containers can move now" in as_ada.post(url).content.decode()
    assert container.operations.count() == 1


def test_faults_are_switched_on_and_off_on_the_page(node: Node, as_ada: Client) -> None:
    url = f"/nodes/{node.pk}/faults/"
    as_ada.post(url, {"slow": "on", "full": "on"})
    assert simulated(node).faults() == Faults(slow=True, full=True)
    assert as_ada.get(f"/nodes/{node.pk}/").content.decode().count("checked") == 2
    as_ada.post(url)
    assert simulated(node).faults() == Faults()


def test_the_pages_of_an_unplugged_node_still_answer(node: Node, as_ada: Client) -> None:
    as_ada.post(f"/nodes/{node.pk}/faults/", {"unplugged": "on", "hanging": "on"})
    for page in PAGES:
        assert as_ada.get(page.format(node.pk)).status_code == 200
    as_ada.post(f"/nodes/{node.pk}/faults/")
    assert simulated(node).faults() == Faults()


def test_a_node_whose_folder_is_gone_has_no_faults_to_switch(as_ada: Client) -> None:
    lost = Node.objects.create(name="lost", kind=Node.Kind.SIMULATED)
    assert 'id="faults"' not in as_ada.get(f"/nodes/{lost.pk}/").content.decode()
    answer = as_ada.post(f"/nodes/{lost.pk}/faults/", {"slow": "on"}, follow=True)
    assert "cannot be set" in answer.content.decode()


def switch(*options: str) -> str:
    out = StringIO()
    call_command("faults", *options, stdout=out)
    return out.getvalue().strip()


def test_the_command_switches_faults_and_prints_them(node: Node) -> None:
    assert switch("node-a") == "node-a: no faults"
    assert switch("node-a", "--unplug", "--slow") == "node-a: unplugged, slow"
    assert switch("node-a", "--plug", "--full") == "node-a: slow, full"
    assert switch("node-a", "--no-slow") == "node-a: full"
    assert switch("node-a", "--none", "--failing") == "node-a: failing"
    assert simulated(node).faults() == Faults(failing=True)
    assert switch("node-a", "--none") == "node-a: no faults"


def test_the_command_knows_its_nodes(db: None) -> None:
    with pytest.raises(CommandError, match="no simulated node"):
        switch("nowhere")


def test_from_a_node_that_does_not_answer_nothing_moves_before_it_does(
    as_ada: Client, node: Node, lena: User
) -> None:
    ContainerFactory.create(customer=lena, node=node, status=Status.CREATING, on_node=False)
    url, first = f"/nodes/{node.pk}/move/", "it has to answer again before anything can be moved"
    page = as_ada.get(url).content.decode()
    assert "Come back for these later." in page
    assert first not in page
    Node.objects.update(online=False)
    page = as_ada.get(url).content.decode()
    assert "Come back for these later." not in page
    assert first in page
