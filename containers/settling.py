"""What an administrator can do where the database and a node disagree.

Each door asks the nodes first, with no transaction open; it then decides with the row locked,
and writes into the history who did what. It returns a sentence that says what was done, and
raises NotPossible. On a node nothing is changed but the mark of what was made by hand, and
nothing deleted but the copy that somebody asks to be rid of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django_fsm import can_proceed

from containers.connect import connect
from containers.drivers import DriverError, Instance, Power, Refused, Spec
from containers.models import Container, Node, StatusChange, Stray
from containers.models.stray import HIGHEST
from containers.operations.asking import open_operation
from containers.operations.outcomes import record
from containers.statuses import Status

if TYPE_CHECKING:
    from panel.models import User

_AT_REST = {Power.RUNNING: Status.RUNNING, Power.STOPPED: Status.STOPPED}


class NotPossible(Exception):
    """It cannot be done, or not now; `sentence` says why in plain words."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True)
class Adoptable:
    """An instance that can be adopted: how it is, and what it is."""

    instance: Instance
    spec: Spec

    @property
    def status(self) -> Status:
        """What it will be here."""
        return _AT_REST[self.instance.power]


def proposal(node: Node, number: int) -> Adoptable:
    """What can be adopted, as the node reports it now. Raises NotPossible."""
    name = Stray(number=number).name
    _check_leaves_room(number)
    _check_unknown(number)
    instance = _at_rest(node, name)
    try:
        spec = connect(node).describe(name)
    except DriverError as error:
        raise _not_done(node, error) from error
    limits = {"processor": spec.cpus, "memory": spec.memory_mb, "disk": spec.disk_gb}
    if missing := [limit for limit, value in limits.items() if not value]:
        raise NotPossible(
            f"{name} has no limit for its {' and its '.join(missing)}, as every container has. "
            f"Set one on node {node.name} first."
        )
    longest = Container._meta.get_field("image").max_length or 0
    if len(spec.image) > longest:
        raise NotPossible(f"The name of its image has more than {longest} letters.")
    return Adoptable(instance, spec)


def adopt(node: Node, number: int, *, customer: User, name: str, by: User) -> str:
    """Make a container of an instance that the database does not know: `customer`'s, called
    `name`, with the limits and in the status that the node reports."""
    _check_permission(by)
    found = proposal(node, number)
    # Should this be as far as it comes, it can still be adopted.
    _claim(node, found.instance.name)
    try:
        with transaction.atomic():
            # Of two who adopt it one finds the note.
            noted, _ = node.strays.filter(number=number, unfinished=False).delete()
            if not noted:
                raise NotPossible("This is settled already.")
            _check_online(node)
            container = _make(node, number, found, customer=customer, name=name)
            StatusChange.objects.create(
                container=container,
                to_status=container.status,
                by=by,
                because=f"adopted on node {node.name}",
            )
    except IntegrityError as error:
        _check_unknown(number)
        raise NotPossible(f"{customer} already has a container called {name}.") from error
    return f"{container.instance_name} is the container {name} of {customer} now."


def _make(node: Node, number: int, found: Adoptable, *, customer: User, name: str) -> Container:
    spec, room = found.spec, Container._meta.get_field("system").max_length
    return Container.objects.create(
        pk=number,
        customer=customer,
        name=name,
        plan="Adopted",
        cpus=spec.cpus,
        memory_mb=spec.memory_mb,
        disk_gb=spec.disk_gb,
        system=spec.image[:room] or "Unknown",
        image=spec.image,
        ssh_key=spec.ssh_key,
        node=node,
        address=found.instance.address,
        status=found.status,
    )


def take_over(node: Node, number: int, *, by: User) -> str:
    """Look for a container on this node from now on: this one has it, or what was made by
    hand in its place, and its own has not."""
    _check_permission(by)
    container = _container(number)
    instance = _at_rest(node, container.instance_name)
    own = _check_gone(container)
    _claim(node, instance.name)
    with transaction.atomic():
        fresh = _locked(container)
        _check_online(node)
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
    _check_permission(by)
    container = _missing_on(node, number)
    with transaction.atomic():
        fresh = _locked(container)
        was = fresh.status
        fresh.given_up()
        fresh.node, fresh.address, fresh.problem = None, "", ""
        record(fresh, was, by=by, because=f"forgotten, as node {node.name} does not have it")
    return f"{fresh.name} is forgotten: it counts as {fresh.get_status_display()} now."


def create_again(node: Node, number: int, *, by: User) -> str:
    """Make a container anew on its node, which does not have it any more."""
    _check_permission(by)
    container = _missing_on(node, number)
    if not Node.objects.filter(pk=node.pk).able_to_create(container.image).exists():
        raise NotPossible(f"Node {node.name} does not have {container.system} to make it of.")
    with transaction.atomic():
        fresh = _locked(container)
        _check_online(node)
        was = fresh.status
        fresh.begun_again()
        fresh.address, fresh.problem, fresh.create_tries = "", "", 0
        because = f"created again, as node {node.name} does not have it"
        operation = open_operation(fresh, "create", was=was, by=by, because=because)
        record(fresh, was, operation, by=by, because=because)
    return f"{fresh.name} is {fresh.get_status_display()} now."


def remove_copy(node: Node, number: int, *, by: User) -> str:
    """Be rid of what a move that was given up has left on this node, while the container is
    whole on its own node and at rest there. The deletion is begun; the node goes on with it by
    itself, and what does not come of it differs again at the next look."""
    _check_permission(by)
    container = _container(number)
    _check_left_over(node, container)
    with transaction.atomic():
        fresh = _still(container)
        _check_at_rest(fresh)
        # Of two who remove it one finds the note: the other could meet the next copy.
        noted, _ = node.strays.filter(number=number, by_hand=False).delete()
        if not noted:
            raise NotPossible("This is settled already.")
        _tell(fresh, by, f"asked to remove the old copy on node {node.name}")
    # In the meantime that copy may have gone, and the container have come here itself.
    container = _container(number)
    _check_at_rest(container)
    _check_left_over(node, container)
    return _begin_deletion(node, container.instance_name, f"The old copy of {container.name}")


def clear_away(node: Node, number: int, *, by: User) -> str:
    """Be rid of what a creation or a move has begun on this node and never finished, while
    nobody is at work on the container that it was to be."""
    _check_permission(by)
    name = Stray(number=number).name
    _check_unfinished(node, name)
    with transaction.atomic():
        container = Container.objects.select_for_update().filter(pk=number).first()
        if container is not None:
            _check_at_rest(container)
        noted, _ = node.strays.filter(number=number, unfinished=True).delete()
        if not noted:
            raise NotPossible("This is settled already.")
        if container is not None:
            _tell(container, by, f"asked to clear away what is unfinished on node {node.name}")
    # In the meantime it may have been gone on with, to the end.
    _check_unfinished(node, name)
    return _begin_deletion(node, name, f"What was never finished of {name}")


# --- what they look at -------------------------------------------------------------------------


def _check_permission(by: User) -> None:
    if not by.administers:
        raise NotPossible("This is an administrator's to decide.")


def _container(number: int) -> Container:
    container = Container.objects.select_related("node").filter(pk=number).first()
    if container is None:
        raise NotPossible("The database has no container of this number.")
    return container


def _check_leaves_room(number: int) -> None:
    """New numbers go on from the highest that is known, and are to stay readable."""
    if number >= HIGHEST:
        name = Stray(number=number).name
        raise NotPossible(f"The number of {name} is too high for the panel. Rename it there first.")


def _check_unknown(number: int) -> None:
    known = Container.objects.filter(pk=number).first()
    if known is not None:
        raise NotPossible(f"{known.instance_name} is known by now: it is {known.name}.")


def _tell(container: Container, by: User, because: str) -> None:
    """A line in its history, of what changes no status."""
    status = container.status
    StatusChange.objects.create(
        container=container, from_status=status, to_status=status, by=by, because=because
    )


def _check_at_rest(container: Container) -> None:
    if not container.is_at_rest:
        status = container.get_status_display()
        raise NotPossible(f"{container.name} is {status} now. Try again later.")


def _check_unfinished(node: Node, name: str) -> None:
    try:
        unfinished = connect(node).unfinished()
    except DriverError as error:
        raise _not_done(node, error) from error
    if name not in unfinished:
        raise NotPossible(f"Node {node.name} has nothing unfinished called {name} any more.")


def _begin_deletion(node: Node, name: str, what: str) -> str:
    try:
        sign = next(iter(connect(node).delete(name)), None)
    except DriverError as error:
        raise _not_done(node, error) from error
    if sign is not None and not sign.begun:
        raise NotPossible(f"Node {node.name} is still at work on {name}. Try again later.")
    return f"{what} on node {node.name} is being deleted."


def _check_online(node: Node) -> None:
    """It stays so until the transaction ends."""
    if not Node.objects.keeps_online(node.pk):
        raise NotPossible(f"Node {node.name} is off-line. Try again when it is back.")


def _ask(node: Node, name: str) -> Instance | None:
    try:
        return connect(node).instance(name)
    except DriverError as error:
        raise _not_done(node, error) from error


def _claim(node: Node, name: str) -> None:
    try:
        connect(node).claim(name)
    except DriverError as error:
        raise _not_done(node, error) from error


def _not_done(node: Node, error: DriverError) -> NotPossible:
    if isinstance(error, Refused):
        return NotPossible(f"Node {node.name} refuses: {error.detail}.")
    return NotPossible(f"Node {node.name} cannot be asked now: {error.detail}. Try again later.")


def _at_rest(node: Node, name: str) -> Instance:
    """An instance that a node has, running or stopped, whoever made it."""
    try:
        found = connect(node).instances().get(name)
    except DriverError as error:
        raise _not_done(node, error) from error
    if found is None:
        raise NotPossible(f"Node {node.name} does not have {name} any more.")
    if found.power not in _AT_REST:
        raise NotPossible(f"Node {node.name} reports {name} as {found.power}. Try again later.")
    return found


def _missing_on(node: Node, number: int) -> Container:
    """A container that the database has on a node, and no node has."""
    container = _container(number)
    if container.node_id != node.pk:
        raise NotPossible(f"{container.name} is not on node {node.name} any more.")
    _check_gone(container)
    whole = Stray.objects.filter(number=number, unfinished=False)
    other = whole.select_related("node").first()
    if other is not None:
        raise NotPossible(f"Node {other.node.name} has {container.name}: take it over there.")
    return container


def _check_gone(container: Container) -> Node:
    """The node that a container should be on, asked now, does not have it."""
    if not can_proceed(container.given_up):
        raise _not_gone(container)
    assert container.node is not None
    if _ask(container.node, container.instance_name) is not None:
        raise NotPossible(f"Node {container.node.name} has {container.name} again.")
    return container.node


def _check_left_over(node: Node, container: Container) -> None:
    """This node has a copy that nothing runs in, and its own node has the container."""
    name, own = container.instance_name, container.node
    copy = _at_rest(node, name)
    if copy.by_hand:
        raise NotPossible(f"{name} on node {node.name} was made by hand: it is not the panel's.")
    if copy.power is not Power.STOPPED:
        raise NotPossible(f"{name} runs on node {node.name}. Stop it there first.")
    if own is None or own == node:
        raise NotPossible(f"The database does not have {container.name} on another node.")
    if _ask(own, name) is None:
        raise NotPossible(f"Node {own.name} does not have {name}: this is all there is of it.")


def _locked(container: Container) -> Container:
    """The row, fresh and locked, if nothing has come of it meanwhile."""
    fresh = _still(container)
    if not can_proceed(fresh.given_up):
        raise _not_gone(fresh)
    return fresh


def _still(container: Container) -> Container:
    """The row, fresh and locked, if it is still on the same node."""
    fresh = Container.objects.locked(container.pk)
    if fresh.node_id != container.node_id:
        raise _not_gone(fresh)
    return fresh


def _not_gone(container: Container) -> NotPossible:
    status, node = container.get_status_display(), container.node
    if node is not None and not node.online:
        return NotPossible(f"Node {node.name} does not answer: {container.name} may be there.")
    return NotPossible(f"{container.name} is {status} now: there is nothing to be settled.")
