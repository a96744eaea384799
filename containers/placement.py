"""Which node gets a container: the on-line one with the most room, reserved in the same breath."""

from __future__ import annotations

from django.db.models import Q

from containers.models import Container, Node
from containers.models.node import NodeQuerySet


class NoRoomAnywhere(Exception):
    """No node in service can take it now; `sentence` says so to the customer."""

    sentence = (
        "No node has room for this container just now. It is tried again by itself, "
        "and created as soon as there is room."
    )

    def __init__(self, container: Container) -> None:
        super().__init__(f"no room for {container}")
        if container.node_id is not None:
            self.sentence = f"No other node in service has room for {container.name} now."


def candidates(container: Container) -> NodeQuerySet:
    """The nodes that could take it, most room first; never the one it is on."""
    others = Node.objects.filter(~Q(pk=container.node_id), online=True, in_service=True)
    room = {"memory_left__gte": container.memory_mb, "disk_left__gte": container.disk_gb}
    return others.with_room().filter(**room).order_by("-memory_left", "name")  # type: ignore[misc]  # annotated


def place(container: Container, *, wanted: int | None = None) -> Node:
    """Choose a node, `wanted` if it is given and can take it.

    Must be called in a transaction that then writes the choice down: the nodes stay locked
    until it ends, so that two containers cannot take the last place. Raises NoRoomAnywhere.
    """
    list(Node.objects.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    found = candidates(container)
    node = (found.filter(pk=wanted) if wanted is not None else found).first()
    if node is None:
        raise NoRoomAnywhere(container)
    return node
