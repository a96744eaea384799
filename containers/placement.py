"""Which node gets a container: of the on-line ones that can make it, the one on which it has failed
least often and that has the most room; reserved in the same transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from copy import copy

from django.db.models import Q

from containers.models import Container, Node, Operation, Stray
from containers.room import with_room

NO_ROOM = (
    "No node has room for this container just now. It is tried again by itself, "
    "and created as soon as there is room."
)


class NoNodeFits(Exception):
    """No node in service can take the container now; `sentence` says why, to the customer."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def candidates(container: Container) -> list[Node]:
    """The nodes that could take it, most room first; never the one it is on. One that moves needs a
    node of the same kind. A new one needs a node that can get its image, and the nodes on which its
    creation has failed before come last."""
    if container.node is not None:
        return targets([container])
    able = with_room(Node.objects.taking_containers().able_to_create(container.image))
    fit = _most_room_first(node for node in able if _fits(container, node))
    failed = container.operations.filter(kind="create", outcome=Operation.Outcome.FAILED)
    failures = Counter(failed.values_list("node", flat=True))
    return sorted(fit, key=lambda node: failures[node.pk])


def targets(containers: Iterable[Container]) -> list[Node]:
    """The nodes that at least one of these could be moved to, most room first."""
    moving = list(containers)
    return _most_room_first(
        node
        for node in with_room(Node.objects.taking_containers())
        if any(
            each.node is not None
            and each.node_id != node.pk
            and each.node.kind == node.kind
            and _fits(each, node)
            for each in moving
        )
    )


def _fits(container: Container, node: Node) -> bool:
    return node.memory_left >= container.memory_mb and node.disk_left >= container.disk_gb


def _most_room_first(nodes: Iterable[Node]) -> list[Node]:
    return sorted(nodes, key=lambda node: (-node.memory_left, node.name))


def that_fit(containers: Iterable[Container], nodes: Iterable[Node]) -> list[Container]:
    """Those that find room if they are moved one after the other, each to the node that `place`
    would choose of these."""
    left = [copy(node) for node in nodes]
    fit = []
    for container in containers:
        if able := _most_room_first(node for node in left if _fits(container, node)):
            able[0].memory_promised += container.memory_mb
            able[0].disk_promised += container.disk_gb
            fit.append(container)
    return fit


def place(container: Container, *, wanted: int | None = None) -> Node:
    """Choose a node, `wanted` if it is given and can take it.

    Must be called in a transaction that then writes the choice down: the nodes stay locked
    until it ends, so that two containers cannot take the last place. Raises NoNodeFits.
    """
    list(Node.objects.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    found = candidates(container)
    if container.node is None:
        found = _where_it_may_be_made(container, found)
    if wanted is not None:
        found = [node for node in found if node.pk == wanted]
        if not found:
            raise NoNodeFits(_why_not_there(container, wanted))
    if not found:
        raise _why_none(container)
    return found[0]


def _why_not_there(container: Container, wanted: int) -> str:
    node = Node.objects.filter(pk=wanted).first()
    if node is None:
        return f"The node that {container.name} was to go to is not there any more."
    if node.pk == container.node_id:
        return f"{container.name} is on {node} already."
    return (
        f"{node} cannot take {container.name}: it has no room for it, is off-line, "
        "out of service or of another kind."
    )


def _where_it_may_be_made(container: Container, nodes: list[Node]) -> list[Node]:
    """Those of the nodes on which creating it makes no second one, as after a restore it may be on
    a node already; and on which no other instance has its name. Raises NoNodeFits."""
    whole = Stray.objects.filter(number=container.pk, unfinished=False)
    another = Q(by_hand=True) | Q(another=True)
    taken = set(whole.filter(another).values_list("node", flat=True))
    there = set(whole.exclude(another).values_list("node", flat=True))
    if not there and (unseen := Node.objects.not_seen_since_restore(container.pk)):
        raise NoNodeFits(
            f"It may be on {_listed(unseen)} already: the panel was restored from a back-up, and "
            "has had no answer from there since. It is tried again by itself. An administrator "
            "takes a node that is lost out of service."
        )
    left = [node for node in nodes if node.pk not in taken]
    if nodes and not left:
        raise NoNodeFits(
            f"What is called {container.instance_name} on {_listed(nodes)} is another one. "
            "An administrator has to rename it there: then this container is created by itself."
        )
    return [node for node in left if node.pk in there] if there else left


def _listed(nodes: Iterable[Node]) -> str:
    return ", ".join(sorted(node.name for node in nodes))


def _why_none(container: Container) -> NoNodeFits:
    if container.node_id is not None:
        return NoNodeFits(f"No other node in service has room for {container.name} now.")
    taking = Node.objects.taking_containers()
    if taking and not taking.able_to_create(container.image):
        return NoNodeFits(
            f"No node has {container.system} just now. It is tried again by itself, "
            "and created as soon as one has it."
        )
    return NoNodeFits(NO_ROOM)
