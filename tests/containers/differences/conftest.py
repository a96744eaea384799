"""Instances that the panel was not told of, and containers that their nodes have lost."""

from __future__ import annotations

from typing import Any

import pytest

from containers.connect import spec_of
from containers.differences import differences_on
from containers.drivers import Power, Spec
from containers.models import Container, Node, Stray
from containers.observe import Watcher
from containers.statuses import Status
from tests.cast import IMAGE, OperationFactory
from tests.tampering import simulated

NUMBER = 977


def look() -> None:
    """A beat of the watcher."""
    watcher = Watcher()
    watcher.ask()
    watcher.collect(seconds=10)


def fresh(container: Container) -> Container:
    return Container.objects.get(pk=container.pk)


def put(
    node: Node,
    number: int = NUMBER,
    power: Power = Power.STOPPED,
    by_hand: bool = False,
    **spec: Any,
) -> None:
    """An instance that nobody told the panel about: one of its own, or made by hand."""
    is_what: dict[str, Any] = {
        "hostname": "old.example.com", "image": IMAGE, "cpus": 2, "memory_mb": 2048, "disk_gb": 30,
    }  # fmt: skip
    simulated(node).seed(Spec(f"ct-{number}", **(is_what | spec)), power)
    if by_hand:
        simulated(node).disown(f"ct-{number}")


def move_by_hand(container: Container, target: Node, power: Power = Power.STOPPED) -> None:
    """As if somebody had moved it on the nodes themselves."""
    assert container.node is not None
    simulated(container.node).lose(container.instance_name)
    simulated(target).seed(spec_of(container), power)


def has_moved(container: Container, target: Node, *, outcome: str) -> None:
    """A move to this node has ended."""
    OperationFactory.create(
        container=container,
        kind="migrate",
        node=container.node,
        target=target,
        was=container.status,
        during=Status.MIGRATING,
        outcome=outcome,
    )


def strays() -> list[tuple[str, int]]:
    return list(Stray.objects.order_by("node__name", "number").values_list("node__name", "number"))


def told(node: Node) -> list[tuple[str, bool, list[str]]]:
    """What the page of a node says: the name, whether the node has it, what can be done."""
    node.refresh_from_db()
    return [
        (each.name, each.is_here, [action.name for action in each.actions])
        for each in differences_on(node)
    ]


@pytest.fixture
def stray(node: Node) -> int:
    """The number of an instance on `node` that the database does not know."""
    put(node)
    look()
    return NUMBER


@pytest.fixture
def missing(container: Container, node: Node) -> Container:
    """Lena's, of which its node knows nothing any more."""
    simulated(node).lose(container.instance_name)
    look()
    return fresh(container)


@pytest.fixture
def moved(container: Container, other_node: Node) -> Container:
    """Lena's, which the database has on one node, and another node has."""
    move_by_hand(container, other_node, Power.RUNNING)
    look()
    return fresh(container)
