"""A real container on a real network: the address that it gets is the one that is shown."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from io import BytesIO, StringIO

import pytest
from django.core.management import call_command
from django.test import Client

from containers.connect import connect
from containers.models import Container, Node
from containers.observe import Watcher
from containers.usage import Sampler
from panel.models import User
from tests.cast import ContainerFactory
from tests.conftest import Worker
from tests.containers.acts import ask_and_wait, fresh, look
from tests.incus_node import IMAGE, PROJECT, IncusNode, daemons

pytestmark = [pytest.mark.incus, pytest.mark.django_db]

BRIDGE = f"bt{os.getpid()}"
NETWORK = "10.213.77."
# What a system does that asks for its address by DHCP; the test image does not.
INITTAB = b"""::sysinit:/bin/chmod 755 /etc/lease
::sysinit:/bin/udhcpc -i eth0 -b -s /etc/lease
::respawn:/bin/sleep 100000
null::shutdown:/bin/true
"""
LEASE = b"""#!/bin/sh
[ "$1" != bound ] || ifconfig "$interface" "$ip" netmask "$subnet"
"""


@pytest.fixture
def server() -> Iterator[IncusNode]:
    """With a bridge on which dnsmasq hands out addresses."""
    with daemons(1) as [found]:
        found.prepare()
        own = [f"ipv4.address={NETWORK}1/24", "ipv4.nat=false", "ipv6.address=none"]
        found.incus("network", "create", BRIDGE, *own)
        card = ["eth0", "nic", f"network={BRIDGE}", "name=eth0"]
        found.incus("profile", "device", "add", "default", *card, f"--project={PROJECT}")
        yield found
    subprocess.run(["ip", "link", "delete", BRIDGE], check=False, stderr=subprocess.DEVNULL)


@pytest.fixture
def node(server: IncusNode, db: None) -> Node:
    call_command("add_node", server.prepare(), name="real-1", stdout=StringIO())
    return Node.objects.get()


def make_it_ask_for_its_address(container: Container) -> None:
    assert container.node is not None
    driver, name = connect(container.node), container.instance_name
    driver.write_file(name, "/etc/inittab", BytesIO(INITTAB))
    driver.write_file(name, "/etc/lease", BytesIO(LEASE))


def test_the_address_that_a_container_gets_is_on_its_page(
    node: Node, server: IncusNode, worker: Worker, lena: User, ada: User, as_lena: Client
) -> None:
    ordered = ContainerFactory.create(customer=lena, status="ordered", image=IMAGE, disk_gb=1)
    container = ask_and_wait(ordered, "create", worker, ada)
    make_it_ask_for_its_address(container)
    ask_and_wait(container, "start", worker, lena)

    watcher, began = Watcher(), time.monotonic()
    while not fresh(container).address:
        assert time.monotonic() - began < 40, "it has no address"
        look(watcher)
        time.sleep(0.5)

    address = fresh(container).address
    assert address.startswith(NETWORK)
    state = server.query(f"/1.0/instances/{container.instance_name}/state?project={PROJECT}")
    assert address in {each["address"] for each in state["network"]["eth0"]["addresses"]}
    assert address in as_lena.get(container.get_absolute_url()).content.decode()


def test_an_address_that_changes_is_the_new_one_as_soon_as_usage_is_measured(
    node: Node, server: IncusNode, worker: Worker, lena: User, ada: User
) -> None:
    ordered = ContainerFactory.create(customer=lena, status="ordered", image=IMAGE, disk_gb=1)
    container = ask_and_wait(ordered, "create", worker, ada)
    ask_and_wait(container, "start", worker, lena)
    watcher, sampler = Watcher(), Sampler()
    for address in (f"{NETWORK}201", f"{NETWORK}202"):
        inside = ["ifconfig", "eth0", address, "netmask", "255.255.255.0"]
        server.incus("exec", container.instance_name, f"--project={PROJECT}", "--", *inside)
        sampler.sample()
        look(watcher)
        assert fresh(container).address == address
