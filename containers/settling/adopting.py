"""An instance that the database does not know becomes a customer's container."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from containers.connect import label_of
from containers.drivers import Instance, Spec
from containers.models import Container, Node, StatusChange, Stray
from containers.models.stray import HIGHEST
from containers.settling.checks import (
    AT_REST,
    NotPossible,
    asking,
    check_online,
    check_permission,
    instance_at_rest,
    remove_stray,
)
from containers.statuses import Status

if TYPE_CHECKING:
    from panel.models import User


@dataclass(frozen=True)
class Adoptable:
    """An instance that can be adopted: how it is, and what it is."""

    instance: Instance
    spec: Spec

    @property
    def status(self) -> Status:
        """What it will be here."""
        return AT_REST[self.instance.power]


def proposal(node: Node, number: int) -> Adoptable:
    """What can be adopted, as the node reports it now. Raises NotPossible."""
    name = Stray(number=number).name
    _check_leaves_room(number)
    _check_unknown(number)
    instance = instance_at_rest(node, name)
    with asking(node) as driver:
        spec = driver.describe(name)
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
    check_permission(by)
    found = proposal(node, number)
    # If the panel is killed after this, it can still be adopted.
    with asking(node) as driver:
        driver.claim(found.instance.name, label_of(number))
    try:
        with transaction.atomic():
            remove_stray(node, number, unfinished=False)
            check_online(node)
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


def _check_leaves_room(number: int) -> None:
    """New numbers go on from the highest that is known, and are to stay readable."""
    if number >= HIGHEST:
        name = Stray(number=number).name
        raise NotPossible(f"The number of {name} is too high for the panel. Rename it there first.")


def _check_unknown(number: int) -> None:
    known = Container.objects.filter(pk=number).first()
    if known is not None:
        raise NotPossible(f"{known.instance_name} is known by now: it is {known.name}.")
