"""A container that its node does not have is taken over elsewhere, made again, or given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django_fsm import can_proceed

from containers.connect import labels_of
from containers.drivers import Power
from containers.models import Container, Node, Stray
from containers.operations.asking import open_operation
from containers.operations.outcomes import record
from containers.settling.checks import (
    NotPossible,
    asking,
    check_online,
    check_permission,
    container_of,
    has,
    instance_at_rest,
    locked_where_it_was,
    nothing_to_settle,
)

if TYPE_CHECKING:
    from panel.models import User


def take_over(node: Node, number: int, *, by: User) -> str:
    """Make this node the container's own: it has the container, or an instance that was made by
    hand in its place, and the node in the database does not have it."""
    check_permission(by)
    container = container_of(number)
    instance, labels = instance_at_rest(node, container.instance_name), labels_of(container)
    if instance.is_another(labels):
        raise NotPossible(f"{instance.name} on node {node.name} was made for another container.")
    own = _check_gone(container)
    with asking(node) as driver:
        driver.claim(instance.name, labels)
    with transaction.atomic():
        fresh = _locked_while_gone(container)
        check_online(node)
        was = fresh.status
        fresh.node, fresh.address, fresh.problem = node, instance.address, ""
        if instance.power is Power.RUNNING:
            fresh.found_running()
        else:
            fresh.found_stopped()
        why = "it was made by hand" if instance.by_hand else f"node {own.name} does not have it"
        record(fresh, was, by=by, because=f"taken over: {why}")
        node.strays.filter(number=number).delete()
    return f"{fresh.name} is on node {node.name} now, and {fresh.get_status_display()}."


def forget(node: Node, number: int, *, by: User) -> str:
    """Give up a container that its node does not have."""
    check_permission(by)
    container = _missing_on(node, number)
    with transaction.atomic():
        fresh = _locked_while_gone(container)
        was = fresh.status
        fresh.given_up()
        fresh.node, fresh.address, fresh.problem = None, "", ""
        record(fresh, was, by=by, because=f"forgotten, as node {node.name} does not have it")
    return f"{fresh.name} is forgotten: it counts as {fresh.get_status_display()} now."


def create_again(node: Node, number: int, *, by: User) -> str:
    """Make a container anew on its node, which does not have it any more."""
    check_permission(by)
    container = _missing_on(node, number)
    if not Node.objects.filter(pk=node.pk).able_to_create(container.image).exists():
        raise NotPossible(f"Node {node.name} does not have {container.system} to make it of.")
    with transaction.atomic():
        fresh = _locked_while_gone(container)
        check_online(node)
        was = fresh.status
        fresh.begun_again()
        fresh.address, fresh.problem, fresh.create_tries = "", "", 0
        because = f"created again, as node {node.name} does not have it"
        operation = open_operation(fresh, "create", was=was, by=by, because=because)
        record(fresh, was, operation, by=by, because=because)
    return f"{fresh.name} is {fresh.get_status_display()} now."


def _missing_on(node: Node, number: int) -> Container:
    """A container that the database has on a node, and no node has."""
    container = container_of(number)
    if container.node_id != node.pk:
        raise NotPossible(f"{container.name} is not on node {node.name} any more.")
    _check_gone(container)
    whole = Stray.objects.filter(number=number, another=False, unfinished=False)
    other = whole.select_related("node").first()
    if other is not None:
        raise NotPossible(f"Node {other.node.name} has {container.name}: take it over there.")
    if unseen := Node.objects.not_seen_since_restore(number).first():
        raise NotPossible(
            f"{container.name} may be on node {unseen.name}, which has not answered since the "
            "panel was restored. Take that node out of service if it is lost."
        )
    return container


def _check_gone(container: Container) -> Node:
    """The node that a container should be on, asked now, does not have it."""
    if not can_proceed(container.given_up):
        raise nothing_to_settle(container)
    assert container.node is not None
    if has(container.node, container):
        raise NotPossible(f"Node {container.node.name} has {container.name} again.")
    return container.node


def _locked_while_gone(container: Container) -> Container:
    """The row, fresh and locked, if it is on the same node as before, which has not told
    since that it has it."""
    fresh = locked_where_it_was(container)
    if not can_proceed(fresh.given_up):
        raise nothing_to_settle(fresh)
    return fresh
