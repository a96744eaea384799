"""Which node gets a container: the on-line one that can make it and has the most room, reserved
in the same breath."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Q

from containers.models import Container, Node, Stray
from containers.models.node import NodeQuerySet
from containers.room import with_room


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


class NoImageAnywhere(NoRoomAnywhere):
    """No node in service has the system that was ordered, or can fetch it."""

    def __init__(self, container: Container) -> None:
        super().__init__(container)
        self.sentence = (
            f"No node has {container.system} just now. It is tried again by itself, "
            "and created as soon as one has it."
        )


def candidates(container: Container) -> list[Node]:
    """The nodes that could take it, most room first; never the one it is on. One that moves
    brings its files along, to a node of the same kind; a new one is made of an image."""
    if container.node is not None:
        able = _at_work().filter(~Q(pk=container.node_id), kind=container.node.kind)
    else:
        able = _at_work().able_to_create(container.image)
    fit = [
        node
        for node in with_room(able)
        if node.memory_left >= container.memory_mb and node.disk_left >= container.disk_gb
    ]
    return sorted(fit, key=lambda node: (-node.memory_left, node.name))


def that_fit(containers: Iterable[Container], nodes: Iterable[Node]) -> list[Container]:
    """Those that find room if they are moved to these nodes one after the other, as `place`
    would have it."""
    left = [(node.memory_left, node.disk_left) for node in nodes]
    fit = []
    for container in containers:
        wants = container.memory_mb, container.disk_gb
        able = [room for room in left if room[0] >= wants[0] and room[1] >= wants[1]]
        if able:
            most = max(able)
            left.remove(most)
            left.append((most[0] - wants[0], most[1] - wants[1]))
            fit.append(container)
    return fit


def _at_work() -> NodeQuerySet:
    return Node.objects.filter(online=True, in_service=True)


def place(container: Container, *, wanted: int | None = None) -> Node:
    """Choose a node, `wanted` if it is given and can take it.

    Must be called in a transaction that then writes the choice down: the nodes stay locked
    until it ends, so that two containers cannot take the last place. Raises NoRoomAnywhere,
    and NoImageAnywhere where it is no room that is missing.
    """
    list(Node.objects.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    found = candidates(container)
    if container.node is None:
        # After a restore it may be somewhere already, and must not come to be twice.
        whole = Stray.objects.filter(number=container.pk, unfinished=False)
        there = set(whole.values_list("node", flat=True))
        found = [node for node in found if node.pk in there] if there else found
    if wanted is not None:
        found = [node for node in found if node.pk == wanted]
    if not found:
        raise _why_none(container)
    return found[0]


def _why_none(container: Container) -> NoRoomAnywhere:
    is_new = container.node_id is None
    if is_new and _at_work() and not _at_work().able_to_create(container.image):
        return NoImageAnywhere(container)
    return NoRoomAnywhere(container)
