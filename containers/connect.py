"""From a node's row to the driver that speaks to it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from django.conf import settings

from containers.drivers import Driver
from containers.drivers.incus import IncusDriver, Server
from containers.drivers.simulated import SimulatedDriver
from containers.models import Node


def connect(node: Node) -> Driver:
    """A driver for this node. Opens nothing yet: the first call does."""
    return simulated(node) if node.is_simulated else incus(node)


def simulated(node: Node) -> SimulatedDriver:
    """The driver of a simulated node, with its faults and its ways to be tampered with."""
    return SimulatedDriver(settings.DATA / "nodes" / node.name, timeout=settings.NODE_TIMEOUT)


def incus(node: Node) -> IncusDriver:
    """The driver of an Incus server, or of one member of a cluster. The same node gets the
    same driver again, with the connections that it keeps open."""
    address, certificate = node.settings["address"], node.settings.get("certificate", "")
    server = server_at(address, certificate, node.settings["project"])
    return _kept(server, node.settings.get("member"), node.settings["pool"], _age(server))


def server_at(address: str, certificate: str, project: str) -> Server:
    """How to reach a server: with the panel's own key, unless `address` is a local socket."""
    identity = None if address.startswith("/") else settings.INCUS_IDENTITY
    return Server(address, certificate, identity, project, max(settings.NODE_TIMEOUT, 2))


def _age(server: Server) -> int:
    """Tells one key of the panel's from the next, so that a new one is used at once."""
    identity: Path | None = server.identity
    return identity.stat().st_mtime_ns if identity and identity.exists() else 0


@lru_cache(maxsize=2048)
def _kept(server: Server, member: str | None, pool: str, age: int) -> IncusDriver:
    return IncusDriver(server, member=member, pool=pool)
