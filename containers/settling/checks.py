"""What is checked before anything is settled: who asks, the nodes, the rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from containers.connect import connect, labels_of
from containers.drivers import Driver, DriverError, Instance, Power, Refused
from containers.models import Container, Node
from containers.statuses import Status

if TYPE_CHECKING:
    from panel.models import User

# The status at rest of a container, by what its node reports.
AT_REST = {Power.RUNNING: Status.RUNNING, Power.STOPPED: Status.STOPPED}


class NotPossible(Exception):
    """It cannot be done, or not now; `sentence` says why in plain words."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def check_permission(by: User) -> None:
    """Only administrators settle. The table does not say so: it is about nodes as much as about
    containers."""
    if not by.administers:
        raise NotPossible("This is an administrator's to decide.")


# --- nodes ---------------------------------------------------------------------------------------


@contextmanager
def asking(node: Node) -> Iterator[Driver]:
    """The driver of a node. What the node refuses or does not answer is raised as NotPossible."""
    try:
        yield connect(node)
    except Refused as error:
        raise NotPossible(f"Node {node.name} refuses: {error.detail}.") from error
    except DriverError as error:
        sentence = f"Node {node.name} cannot be asked now: {error.detail}. Try again later."
        raise NotPossible(sentence) from error


def has(node: Node, container: Container) -> bool:
    """Whether a node has a container, as it says now."""
    with asking(node) as driver:
        found = driver.instance(container.instance_name)
    return found is not None and not found.is_another(labels_of(container))


def instance_at_rest(node: Node, name: str) -> Instance:
    """An instance that a node has now, running or stopped, whoever made it."""
    with asking(node) as driver:
        found = driver.instances().get(name)
    if found is None:
        raise NotPossible(f"Node {node.name} does not have {name} any more.")
    if found.power not in AT_REST:
        raise NotPossible(f"Node {node.name} reports {name} as {found.power}. Try again later.")
    return found


# --- rows ----------------------------------------------------------------------------------------


def container_of(number: int) -> Container:
    container = Container.objects.select_related("node").filter(pk=number).first()
    if container is None:
        raise NotPossible("The database has no container of this number.")
    return container


def locked_where_it_was(container: Container) -> Container:
    """The row, fresh and locked, if it is on the same node as before."""
    fresh = Container.objects.locked(container.pk)
    if fresh.node_id != container.node_id:
        raise nothing_to_settle(fresh)
    return fresh


def nothing_to_settle(container: Container) -> NotPossible:
    """The exception for a container that has turned out not to be gone."""
    status, node = container.get_status_display(), container.node
    if node is not None and not node.online:
        return NotPossible(f"Node {node.name} does not answer: {container.name} may be there.")
    return NotPossible(f"{container.name} is {status} now: there is nothing to be settled.")


def remove_stray(node: Node, number: int, **kind: bool) -> None:
    """Delete the Stray of this number and kind. Of two people who settle it at once, one finds
    it."""
    deleted, _ = node.strays.filter(number=number, **kind).delete()
    if not deleted:
        raise NotPossible("This is settled already.")


def check_online(node: Node) -> None:
    """Raise NotPossible unless the node is on-line; then it stays so until the transaction ends."""
    if not Node.objects.lock_online(node.pk):
        raise NotPossible(f"Node {node.name} is off-line. Try again when it is back.")
