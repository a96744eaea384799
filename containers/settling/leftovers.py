"""Deletes from a node what a creation or a move that was given up has left there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from containers.connect import labels_of
from containers.drivers import Power
from containers.models import Container, Node, Operation, StatusChange, Stray
from containers.settling.checks import (
    NotPossible,
    asking,
    check_permission,
    container_of,
    has,
    instance_at_rest,
    locked_where_it_was,
    remove_stray,
)

if TYPE_CHECKING:
    from panel.models import User


def remove_copy(node: Node, number: int, *, by: User) -> str:
    """Delete the copy that a move which was given up has left on this node, while the container is
    whole on its own node and at rest there. The deletion is only begun: the node goes on with it by
    itself, and if it fails, the copy is a difference again at the next look."""
    check_permission(by)
    container = container_of(number)
    _check_left_over(node, container)
    with transaction.atomic():
        fresh = locked_where_it_was(container)
        _check_at_rest(fresh)
        # Of two who ask at once the second could delete a copy that a later move has left.
        remove_stray(node, number, by_hand=False, another=False)
        _add_history(fresh, by, f"asked to remove the old copy on node {node.name}")
    # Meanwhile that copy may be gone, and the container itself may have been moved here.
    container = container_of(number)
    _check_at_rest(container)
    _check_left_over(node, container)
    return _begin_deletion(node, container.instance_name, f"The old copy of {container.name}")


def clear_away(node: Node, number: int, *, by: User) -> str:
    """Delete what a creation or a move has begun on this node and never finished, while nobody is
    at work on the container that it was to become."""
    check_permission(by)
    name = Stray(number=number).name
    _check_unfinished(node, name)
    with transaction.atomic():
        container = Container.objects.select_for_update().filter(pk=number).first()
        if container is not None:
            _check_at_rest(container)
        remove_stray(node, number, unfinished=True)
        if container is not None:
            _add_history(
                container, by, f"asked to clear away what is unfinished on node {node.name}"
            )
    # Meanwhile the creation may have been taken up again, and finished.
    _check_unfinished(node, name)
    return _begin_deletion(node, name, f"What was never finished of {name}")


def _check_left_over(node: Node, container: Container) -> None:
    """This node has a copy that nothing runs in, and its own node has the container."""
    name, own = container.instance_name, container.node
    copy = instance_at_rest(node, name)
    if copy.by_hand or copy.is_another(labels_of(container)):
        raise NotPossible(f"{name} on node {node.name} was made by hand, or for another one.")
    if copy.power is not Power.STOPPED:
        raise NotPossible(f"{name} runs on node {node.name}. Stop it there first.")
    if own is None or own == node:
        raise NotPossible(f"The database does not have {container.name} on another node.")
    if not Operation.objects.moves_since_made(node).filter(container=container).exists():
        raise NotPossible(f"No move has left {name} on node {node.name}: it may be the right one.")
    if not has(own, container):
        raise NotPossible(f"Node {own.name} does not have {name}: this is all there is of it.")


def _check_unfinished(node: Node, name: str) -> None:
    with asking(node) as driver:
        unfinished = driver.unfinished()
    if not unfinished.get(name):
        raise NotPossible(f"Node {node.name} has nothing unfinished called {name} any more.")


def _check_at_rest(container: Container) -> None:
    if not container.is_at_rest:
        status = container.get_status_display()
        raise NotPossible(f"{container.name} is {status} now. Try again later.")


def _add_history(container: Container, by: User, because: str) -> None:
    """Add a row to its history, for what changes no status."""
    status = container.status
    StatusChange.objects.create(
        container=container, from_status=status, to_status=status, by=by, because=because
    )


def _begin_deletion(node: Node, name: str, what: str) -> str:
    with asking(node) as driver:
        sign = next(iter(driver.delete(name)), None)
    if sign is not None and not sign.begun:
        raise NotPossible(f"Node {node.name} is still at work on {name}. Try again later.")
    return f"{what} on node {node.name} is being deleted."
