"""Makes drivers from the rows of nodes, and what they are told from the rows of containers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from containers.drivers import Driver, ImageSource, Spec
from containers.drivers.incus import IncusDriver, Server
from containers.drivers.incus.addresses import Addresses
from containers.drivers.simulated import SimulatedDriver
from containers.models import Container, Node
from containers.models.server_image import server_of


def spec_of(container: Container) -> Spec:
    """What its node is told to create."""
    return Spec(
        name=container.instance_name,
        hostname=container.name,
        image=container.image,
        cpus=container.cpus,
        memory_mb=container.memory_mb,
        disk_gb=container.disk_gb,
        ssh_key=container.ssh_key,
        labels=labels_of(container),
        source=image_server(server_of(container.image)),
    )


def labels_of(container: Container) -> dict[str, str]:
    """What tells its instance from others, whatever they are called. The number alone does not: a
    restored database gives out the same numbers again. The time does, to the millisecond, since a
    dump may keep no more of it."""
    moment = container.ordered_at.isoformat(timespec="milliseconds")
    return label_of(container.pk) | {"ordered-at": moment}


def label_of(number: int) -> dict[str, str]:
    """The labels of an instance for which there is no container yet."""
    return {"number": str(number)}


def image_server(name: str) -> ImageSource | None:
    """The image server of this name, if the settings know one."""
    server = settings.IMAGE_SERVERS.get(name)
    return ImageSource(**server) if server else None


def connect(node: Node, *, timeout: float | None = None) -> Driver:
    """A driver for this node. Opens nothing yet: the first call does. `timeout` in seconds is
    for each answer; without it, as long as the settings say."""
    drivers: dict[str, Callable[[Node, float | None], Driver]] = {
        Node.Kind.SIMULATED: simulated,
        Node.Kind.INCUS: incus,
    }
    return drivers[node.kind](node, timeout)


def simulated(node: Node, timeout: float | None = None) -> SimulatedDriver:
    """The driver of a simulated node, with its faults."""
    folder = settings.DATA / "nodes" / node.name
    return SimulatedDriver(folder, timeout=timeout or settings.NODE_TIMEOUT)


def incus(node: Node, timeout: float | None = None) -> IncusDriver:
    """The driver of an Incus server, or of one member of a cluster. The same node gets the
    same driver again, with the connections that it keeps open."""
    address, certificate = node.settings["address"], node.settings.get("certificate", "")
    server = server_at(address, certificate, node.settings["project"], timeout)
    return _kept(server, node.settings.get("member"), node.settings["pool"], _age(server))


def server_at(address: str, certificate: str, project: str, timeout: float | None = None) -> Server:
    """How to reach a server: with the panel's own key, unless `address` is a local socket."""
    identity = None if address.startswith("/") else settings.INCUS_IDENTITY
    patience = max(timeout or settings.NODE_TIMEOUT, 2)
    return Server(address, certificate, identity, project, patience)


def _age(server: Server) -> int:
    """When the panel's key was made, so that drivers with an old key are not used any more."""
    identity: Path | None = server.identity
    return identity.stat().st_mtime_ns if identity and identity.exists() else 0


@lru_cache(maxsize=2048)
def _kept(server: Server, member: str | None, pool: str, age: int) -> IncusDriver:
    addresses = _addresses(server.address, server.project, member)
    return IncusDriver(server, member=member, pool=pool, addresses=addresses)


@lru_cache(maxsize=2048)
def _addresses(address: str, project: str, member: str | None) -> Addresses:
    """Shared by the drivers of one node that differ in their time-out alone."""
    return Addresses()
