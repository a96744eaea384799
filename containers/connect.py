"""From a node's row to the driver that speaks to it."""

from __future__ import annotations

from django.conf import settings

from containers.drivers import Driver
from containers.drivers.simulated import SimulatedDriver
from containers.models import Node


def connect(node: Node) -> Driver:
    """A driver for this node. Opens nothing yet: the first call does."""
    return simulated(node)


def simulated(node: Node) -> SimulatedDriver:
    """The driver of a simulated node, with its faults and its ways to be tampered with."""
    return SimulatedDriver(settings.DATA / "nodes" / node.name, timeout=settings.NODE_TIMEOUT)
