"""Adding real nodes, by join token and by local socket, in the panel and by command; and the
main job on them, through the panel's own doors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from containers import observe, operations, registration
from containers.connect import connect, incus
from containers.drivers import Unreachable
from containers.drivers.incus import Server
from containers.drivers.incus.errors import NotTrusted
from containers.drivers.incus.trust import renew
from containers.models import Container, Node
from containers.statuses import Status
from panel.models import User
from tests.cast import ContainerFactory, NodeFactory
from tests.incus_node import IMAGE, IncusNode, daemons, make_cluster, wait_until

pytestmark = [pytest.mark.django_db, pytest.mark.incus]


@pytest.fixture(scope="module")
def server() -> Iterator[IncusNode]:
    """A stand-alone Incus server."""
    with daemons(1) as [found]:
        found.prepare()
        yield found


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[IncusNode, IncusNode]]:
    """Two servers that are one cluster."""
    with daemons(2) as [first, second]:
        make_cluster(first, second)
        yield first, second


def add(where: str, **options: Any) -> str:
    """What the command says."""
    said = StringIO()
    call_command("add_node", where, stdout=said, stderr=said, **options)
    return said.getvalue()


def carry_out(worker: Any, container: Container, action: str, by: User, **more: Any) -> str:
    """Press a button, let the worker work; returns the status that came of it."""
    operations.request(container.pk, action, by=by, **more)
    worker.carry_out_all()
    status: str = Container.objects.values_list("status", flat=True).get(pk=container.pk)
    return status


def test_a_join_token_pasted_in_the_panel_makes_a_node(as_ada: Client, server: IncusNode) -> None:
    reached = as_ada.post(
        "/nodes/add/", {"where": server.prepare(), "project": "berth", "pool": "default"}
    )
    assert (reached.status_code, reached["Location"]) == (302, "/nodes/add/choose/")
    offered = as_ada.get("/nodes/add/choose/").content.decode()
    assert "Incus 6" in offered
    assert IMAGE in offered
    done = as_ada.post(
        "/nodes/add/choose/", {"add-0": "on", "name-0": "fsn-9"}, follow=True
    ).content.decode()
    assert "Added fsn-9." in done
    node = Node.objects.get()
    assert (node.kind, node.online) == (Node.Kind.INCUS, True)
    assert node.memory_mb > 0
    assert node.disk_gb > 0
    assert [image.name for image in node.images.all()] == [IMAGE]


def test_what_is_no_token_is_refused_next_to_the_field(as_ada: Client) -> None:
    answer = as_ada.post("/nodes/add/", {"where": "hunter2", "project": "berth", "pool": "default"})
    assert answer.status_code == 422
    assert "not a join token" in answer.content.decode()


def test_a_used_token_is_refused(server: IncusNode) -> None:
    token = server.prepare()
    add(token, name="once")
    with pytest.raises(CommandError, match="already"):
        add(token, name="twice")


def test_a_token_works_once_for_another_panel(server: IncusNode, settings: Any) -> None:
    token = server.prepare()
    add(token, name="once")
    settings.INCUS_IDENTITY = settings.INCUS_IDENTITY.with_name("stranger.pem")
    with pytest.raises(CommandError, match="token"):
        add(token, name="twice")


def test_a_server_without_the_pool_is_refused_with_the_reason(server: IncusNode) -> None:
    with pytest.raises(CommandError, match="There is no storage pool 'fast'"):
        add(server.prepare(), pool="fast")
    assert not Node.objects.exists()


def test_a_server_without_the_project_is_refused_with_the_reason(server: IncusNode) -> None:
    with pytest.raises(CommandError):
        add(server.socket, project="elsewhere")
    assert not Node.objects.exists()


def test_a_local_socket_makes_a_node_by_command(server: IncusNode) -> None:
    assert add(server.socket, name="local").startswith("local: Incus 6")
    assert Node.objects.get().settings["address"] == server.socket


@pytest.mark.parametrize("socket_first", [True, False])
def test_a_server_is_one_node_whichever_way_it_is_reached(
    socket_first: bool, server: IncusNode
) -> None:
    """A move from one to the other would leave a copy to be removed, and that would be all."""
    ways = [server.socket, server.prepare()]
    first, second = ways if socket_first else reversed(ways)
    add(first, name="once")
    with pytest.raises(CommandError, match="node once already"):
        add(second, name="twice")


def test_a_name_that_is_taken_loses_nothing(as_ada: Client, server: IncusNode) -> None:
    NodeFactory.create(name="taken")
    as_ada.post("/nodes/add/", {"where": server.socket, "project": "berth", "pool": "default"})
    answer = as_ada.post("/nodes/add/choose/", {"add-0": "on", "name-0": "taken"})
    assert answer.status_code == 422
    assert "There is a node called taken already" in answer.content.decode()
    assert 'value="taken"' in answer.content.decode()
    as_ada.post("/nodes/add/choose/", {"add-0": "on", "name-0": "free"})
    assert Node.objects.filter(name="free").exists()


@pytest.mark.parametrize("browser", ["as_lena", "as_sten"])
@pytest.mark.parametrize("address", ["/nodes/add/", "/nodes/add/choose/"])
def test_only_administrators_add_nodes(
    browser: str, address: str, request: pytest.FixtureRequest
) -> None:
    assert request.getfixturevalue(browser).get(address).status_code == 404
    assert request.getfixturevalue(browser).post(address, {}).status_code == 404


def test_one_member_of_a_cluster_offers_them_all(
    as_ada: Client, cluster: tuple[IncusNode, IncusNode]
) -> None:
    as_ada.post(
        "/nodes/add/", {"where": cluster[0].prepare(), "project": "berth", "pool": "default"}
    )
    page = as_ada.get("/nodes/add/choose/").content.decode()
    assert "node1" in page
    assert "node2" in page
    as_ada.post(
        "/nodes/add/choose/",
        {"add-0": "on", "name-0": "node1", "add-1": "on", "name-1": "node2"},
    )
    assert sorted(Node.objects.values_list("name", flat=True)) == ["node1", "node2"]
    as_ada.post(
        "/nodes/add/", {"where": cluster[0].prepare(), "project": "berth", "pool": "default"}
    )
    assert "is a node already" in as_ada.get("/nodes/add/choose/").content.decode()


def test_a_member_is_reached_while_the_one_that_was_added_hangs(
    cluster: tuple[IncusNode, IncusNode],
) -> None:
    reached = registration.reach(cluster[0].prepare(), project="berth")
    second = replace(reached, address=f"https://{cluster[1].address}")
    [node] = registration.add(second, pool="default", chosen=[("node1", "node1")])
    cluster[1].pause()
    try:
        assert connect(node).instances() == {}
    finally:
        cluster[1].resume()


def test_the_panel_gets_a_new_certificate_everywhere(server: IncusNode, settings: Any) -> None:
    add(server.prepare(), name="fsn-9")
    node = Node.objects.get()
    old = settings.INCUS_IDENTITY.with_name("old.pem")
    old.write_bytes(settings.INCUS_IDENTITY.read_bytes())
    assert registration.rotate() == [f"https://{server.address}"]
    assert old.read_bytes() != settings.INCUS_IDENTITY.read_bytes()
    assert connect(node).instances() == {}
    settings.INCUS_IDENTITY = old
    with pytest.raises(NotTrusted):
        incus(node).instances()


@pytest.fixture
def two_servers(server: IncusNode, cluster: tuple[IncusNode, IncusNode]) -> list[Node]:
    """Nodes on two servers that know nothing of each other."""
    # Since a test before has let one hang, the cluster may not have heard of it again.
    wait_until(lambda: members_online(cluster[0]) == {"node1", "node2"})
    add(server.prepare(), name="alone")
    add(cluster[0].prepare(), member="node1")
    return list(Node.objects.order_by("name"))


def members_online(node: IncusNode) -> set[str]:
    members = json.loads(node.incus("cluster", "list", "--format=json"))
    return {member["server_name"] for member in members if member["status"] == "Online"}


def test_one_server_that_hangs_does_not_cost_the_others_their_certificate(
    server: IncusNode, cluster: tuple[IncusNode, IncusNode], two_servers: list[Node]
) -> None:
    for hanging, node in ((server, two_servers[1]), (cluster[0], two_servers[0])):
        hanging.pause()
        try:
            with pytest.raises(Unreachable, match=hanging.address):
                registration.rotate()
            assert connect(node).instances() == {}
        finally:
            hanging.resume()
    assert len(registration.rotate()) == 2
    assert [connect(node).instances() for node in two_servers] == [{}, {}]


def test_a_server_that_is_lost_while_certificates_change_takes_no_other_away(
    two_servers: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Server] = []

    def once(server: Server, identity: Path) -> Server:
        told.append(server)
        if len(told) == 2:
            raise Unreachable("it was switched off")
        return renew(server, identity)

    monkeypatch.setattr(registration, "renew", once)
    with pytest.raises(Unreachable, match="switched off"):
        registration.rotate()
    assert [connect(node).instances() for node in two_servers] == [{}, {}]


def test_an_order_becomes_a_real_container_that_is_run_repaired_moved_and_destroyed(
    as_lena: Client,
    lena: User,
    ada: User,
    worker: Any,
    server: IncusNode,
    cluster: tuple[IncusNode, IncusNode],
) -> None:
    add(server.prepare(), name="alone")
    alone = Node.objects.get(name="alone")
    ordered = ContainerFactory.create(
        customer=lena, status=Status.ORDERED, name="real", image=IMAGE, memory_mb=128, disk_gb=1
    )
    assert carry_out(worker, ordered, "create", ada) == Status.STOPPED
    assert server.has(ordered.instance_name)
    assert carry_out(worker, ordered, "start", lena) == Status.RUNNING
    assert carry_out(worker, ordered, "restart", lena) == Status.RUNNING
    assert carry_out(worker, ordered, "stop", lena) == Status.STOPPED

    assert carry_out(worker, ordered, "repair", lena) == Status.REPAIRING
    folder = as_lena.get(f"/containers/{ordered.pk}/files/?path=/etc").content.decode()
    assert "inittab" in folder
    page = as_lena.get(f"/containers/{ordered.pk}/files/edit/?path=/etc/inittab").content.decode()
    assert "respawn" in page
    assert carry_out(worker, ordered, "stop", lena) == Status.STOPPED

    add(cluster[0].prepare())
    target = Node.objects.get(name="node2")
    assert carry_out(worker, ordered, "migrate", ada, target=target.pk) == Status.STOPPED
    moved = Container.objects.get(pk=ordered.pk)
    assert moved.node == target
    assert not server.has(ordered.instance_name)
    assert carry_out(worker, ordered, "destroy", ada) == Status.DESTROYED
    assert not cluster[1].has(ordered.instance_name)
    assert connect(alone).instances() == {}


def test_a_killed_daemon_makes_its_containers_off_line_while_they_run_on(
    lena: User, ada: User, worker: Any, server: IncusNode
) -> None:
    add(server.prepare(), name="alone")
    container = ContainerFactory.create(
        customer=lena, status=Status.ORDERED, image=IMAGE, memory_mb=128, disk_gb=1
    )
    carry_out(worker, container, "create", ada)
    carry_out(worker, container, "start", lena)
    watcher = observe.Watcher()
    server.kill()
    for _ in range(3):
        watcher.ask()
        watcher.collect(seconds=10)
    node = Node.objects.get()
    assert not node.online
    assert "refused" in node.problem
    assert Container.objects.get().status == Status.OFFLINE
    server.start()
    watcher.ask()
    watcher.collect(seconds=10)
    assert Node.objects.get().online
    assert Container.objects.get().status == Status.RUNNING
    carry_out(worker, container, "stop", lena)
    assert carry_out(worker, container, "destroy", ada) == Status.DESTROYED


def test_what_happens_outside_of_the_panel_is_heard_of(
    lena: User, ada: User, worker: Any, server: IncusNode
) -> None:
    """The look that follows is out of turn: `ask` is called once, before anything happened."""
    add(server.prepare(), name="alone")
    container = ContainerFactory.create(
        customer=lena, status=Status.ORDERED, image=IMAGE, memory_mb=128, disk_gb=1
    )
    carry_out(worker, container, "create", ada)
    watcher = observe.Watcher()
    watcher.ask()

    def comes_to(status: str) -> bool:
        watcher.ask_out_of_turn()
        watcher.collect(seconds=0.2)
        return Container.objects.get().status == status

    watcher.collect(seconds=5)
    server.incus("start", container.instance_name, "--project", "berth")
    wait_until(lambda: comes_to(Status.RUNNING))
    server.incus("stop", container.instance_name, "--project", "berth", "--force")
    wait_until(lambda: comes_to(Status.STOPPED))
    assert carry_out(worker, container, "destroy", ada) == Status.DESTROYED
