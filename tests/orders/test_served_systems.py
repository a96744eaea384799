"""Systems whose image is on an image server: the order form, the admin, and a real node."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from containers.models import Container, Node, ServerImage
from containers.observe import Watcher
from containers.statuses import Status
from orders.models import Order, Payment, Plan, System
from panel.image_servers import read
from panel.models import User
from tests.cast import ContainerFactory, SystemFactory
from tests.conftest import Worker
from tests.containers.test_image_servers import look
from tests.image_server import Streams, simplestreams
from tests.incus_node import IMAGE, PROJECT, IncusNode, daemons

pytestmark = pytest.mark.django_db

SERVED = "images:debian/13"


@pytest.fixture(autouse=True)
def server(tmp_path: Path, settings: Any) -> Iterator[Streams]:
    """The image server `images`."""
    with simplestreams(tmp_path) as server:
        settings.IMAGE_SERVERS = read({"images": server.setting})
        yield server


@pytest.fixture
def debian(plan: Plan) -> System:
    """Offered with the plan; nobody has asked its server yet."""
    debian = SystemFactory.create(name="Debian 13", image=SERVED)
    plan.systems.add(debian)
    return debian


@pytest.fixture
def office(sten: User, as_sten: Client) -> Client:
    sten.user_permissions.set(Permission.objects.filter(content_type__app_label="orders"))
    return as_sten


def server_says(*, is_there: bool, problem: str = "") -> None:
    ServerImage.objects.update(is_there=is_there, problem=problem)


def filled_in(plan: Plan, system: System) -> dict[str, Any]:
    return {"plan": plan.pk, "system": system.pk, "name": "web-01", "ssh_key": ""}


def choices(browser: Client) -> dict[str, bool]:
    """What the order form shows of each system, and whether it can be chosen."""
    field = browser.get("/orders/new/").context["form"]["system"]
    shown = [option.data for option in field if option.data["value"]]
    return {str(each["label"]): "disabled" not in each["attrs"] for each in shown}


def test_a_system_is_offered_once_its_server_is_known_to_have_it(
    as_lena: Client, node: Node, plan: Plan, debian: System
) -> None:
    assert choices(as_lena)["Debian 13 (not available just now)"] is False
    assert as_lena.post("/orders/new/", filled_in(plan, debian)).status_code == 422
    server_says(is_there=True)
    assert choices(as_lena)["Debian 13"] is True
    assert as_lena.post("/orders/new/", filled_in(plan, debian)).status_code == 302


def test_what_no_node_in_service_could_fetch_is_not_offered(
    as_lena: Client, node: Node, debian: System
) -> None:
    server_says(is_there=True)
    Node.objects.update(online=False)
    assert choices(as_lena)["Debian 13"] is True
    Node.objects.update(in_service=False)
    assert choices(as_lena)["Debian 13 (not available just now)"] is False


def test_an_order_that_may_have_to_wait_for_its_server_says_so(
    as_lena: Client, node: Node, plan: Plan, debian: System
) -> None:
    server_says(is_there=True, problem="no answer in time")
    assert choices(as_lena)["Debian 13 (may have to wait: its image server is silent)"] is True
    assert as_lena.post("/orders/new/", filled_in(plan, debian)).status_code == 302


def test_staff_see_which_systems_are_to_be_had(
    office: Client, node: Node, plan: Plan, debian: System
) -> None:
    plans = f"/admin/orders/plan/{plan.pk}/change/"
    assert "icon-no" in office.get("/admin/orders/system/").content.decode()
    assert "Debian 13 (not available just now)" in office.get(plans).content.decode()
    server_says(is_there=True)
    assert "icon-no" not in office.get("/admin/orders/system/").content.decode()
    assert "Debian 13 (not available" not in office.get(plans).content.decode()


def test_a_server_that_nobody_knows_is_an_error_beside_the_field(office: Client) -> None:
    sent = {"name": "Debian 13", "image": "elsewhere:debian/13"}
    page = office.post("/admin/orders/system/add/", sent)
    errors = page.context["adminform"].form.errors
    assert errors == {"image": ["There is no image server elsewhere. Known: images."]}
    office.post("/admin/orders/system/add/", sent | {"image": SERVED})
    assert ServerImage.objects.get().name == SERVED


def test_a_server_is_not_asked_any_longer_for_what_nothing_is_made_of(
    debian: System, lena: User, office: Client
) -> None:
    container = ContainerFactory.create(customer=lena, image="images:debian/14", on_node=False)
    newer = SystemFactory.create(name="Debian 14", image=container.image)
    newer.delete()
    assert set(ServerImage.objects.values_list("name", flat=True)) == {SERVED, container.image}
    debian.image = "images:debian/13/cloud"
    debian.save()
    Container.objects.update(status=Status.DESTROYED)
    ids = {"action": "delete_selected", "_selected_action": [debian.pk], "post": "yes"}
    office.post("/admin/orders/system/", ids)
    assert not ServerImage.objects.exists()


@pytest.fixture
def incus() -> Iterator[IncusNode]:
    with daemons(1) as [found]:
        found.prepare()
        yield found


@pytest.mark.incus
def test_an_order_becomes_a_real_container_that_its_node_has_fetched(
    incus: IncusNode, server: Streams, tmp_path: Path, as_lena: Client, plan: Plan, debian: System,
    pay: Callable[[Order], Payment], worker: Worker, settings: Any,
) -> None:  # fmt: skip
    way = {"address": incus.socket, "project": PROJECT, "pool": "default"}
    room = {"cpus": 2, "memory_mb": 4096, "disk_gb": 100}
    node = Node.objects.create(name="real-1", kind=Node.Kind.INCUS, settings=way, **room)
    incus.incus("image", "export", IMAGE, str(tmp_path / "image"), f"--project={PROJECT}")
    image = gzip.decompress((tmp_path / "image.tar.gz").read_bytes())
    server.offer("debian/13", gzip.compress(image, 1))
    settings.TAKE_STOCK_EVERY = 0
    look(Watcher())

    as_lena.post("/orders/new/", filled_in(plan, debian))
    order = Order.objects.get()
    pay(order)
    worker.carry_out_all()
    order.refresh_from_db()
    container = order.container
    assert (container.status, container.node, container.problem) == (Status.STOPPED, node, "")
    assert order.status == Order.Status.FULFILLED
    made = incus.query(f"/1.0/instances/{container.instance_name}?project={PROJECT}")["config"]
    assert made["user.berth.image"] == SERVED
    assert ("/image.tar.gz", 200) in server.asked
