"""The same few people, nodes, plans and containers in every test: factories, and what they mean.

A container that a factory makes is really there on its simulated node, in the power state that
its status stands for; one in a transient status has its open Operation. Nothing else writes to
a node, so that whatever a test finds there was done by the panel.
"""

# mypy: disable-error-code="no-untyped-call, attr-defined, untyped-decorator"
# (factory_boy does not type its declarations.)

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import factory
from django.conf import settings
from django.contrib.auth.models import Group
from django.utils import timezone
from factory.django import DjangoModelFactory

from containers.connect import spec_of
from containers.drivers import Power, Resources
from containers.drivers.simulated import SimulatedDriver
from containers.models import Container, Node, Operation
from containers.room import with_room
from containers.statuses import NOWHERE, TRANSIENT, Status
from orders.models import Order, Plan, System
from panel.models import User
from panel.staff import GROUP
from tests.tampering import simulated

PASSWORD = "berth-demo"
IMAGE = "debian/12"
# What is on the node in statuses whose name does not say it.
RUNS = frozenset({Status.RUNNING, Status.STOPPING})


def power_of(container: Container) -> Power | None:
    """What its node says of it now; None where it is not there, or has no node."""
    if container.node is None:
        return None
    seen = simulated(container.node).instance(container.instance_name)
    return seen.power if seen else None


def room_on(node: Node) -> Node:
    """The node with what is promised on it and what is left."""
    return with_room(Node.objects.filter(pk=node.pk))[0]


def effects_on(*nodes: Node | None, of: Container) -> list[str]:
    """What the journals of these nodes say was done to one container, oldest first."""
    lines = [line for node in nodes if node for line in simulated(node).journal()]
    lines.sort(key=lambda line: (line["at"], line["did"]))
    return [line["did"] for line in lines if line["instance"] == of.instance_name]


class UserFactory(DjangoModelFactory[User]):
    """A customer; `is_administrator=True` and `is_staff=True` say more."""

    class Meta:
        model = User
        django_get_or_create = ("username",)

    username = factory.Sequence(lambda n: f"person{n}")
    first_name = factory.LazyAttribute(lambda person: person.username.capitalize())
    email = factory.LazyAttribute(lambda person: f"{person.username}@example.com")
    password = factory.django.Password(PASSWORD)


class StaffFactory(UserFactory):
    """Staff with what their group may do."""

    class Meta:
        skip_postgeneration_save = True

    is_staff = True

    @factory.post_generation
    def _in_the_group(self, create: bool, extracted: object, **_: object) -> None:
        self.groups.add(Group.objects.get(name=GROUP))


class NodeFactory(DjangoModelFactory[Node]):
    """A simulated node at work in `settings.DATA`; `pace` multiplies its delays, 0 is at once."""

    class Meta:
        model = Node

    pace = 0.0
    name = factory.Sequence(lambda n: f"node-{n}")
    kind = Node.Kind.SIMULATED
    cpus = 16
    memory_mb = 65536
    disk_gb = 1000
    version = "simulated"

    @classmethod
    def _create(cls, model_class: type[Node], *args: Any, **fields: Any) -> Node:
        pace = fields.pop("pace")
        node: Node = super()._create(model_class, *args, **fields)
        set_pace(node, pace)
        node.images.create(name=IMAGE)
        return node


def set_pace(node: Node, pace: float) -> SimulatedDriver:
    """Make a node of this row, or let the one that is there work at another pace."""
    return SimulatedDriver.install(
        settings.DATA / "nodes" / node.name,
        Resources(node.cpus, node.memory_mb, node.disk_gb),
        [IMAGE],
        pace,
    )


class SystemFactory(DjangoModelFactory[System]):
    class Meta:
        model = System
        django_get_or_create = ("name",)

    name = "Debian 12"
    image = IMAGE


class PlanFactory(DjangoModelFactory[Plan]):
    """A plan that is offered, with Debian to choose."""

    class Meta:
        model = Plan
        django_get_or_create = ("name",)
        skip_postgeneration_save = True

    name = "Small 1 GB"
    cpus = 1
    memory_mb = 1024
    disk_gb = 20
    price = Decimal("4.90")

    @factory.post_generation
    def systems(plan: Plan, create: bool, given: list[System] | None) -> None:  # noqa: N805
        if create:
            plan.systems.add(*(given or [SystemFactory.create()]))


class ContainerFactory(DjangoModelFactory[Container]):
    """A container in `status`, on `node` (one is made) unless it is nowhere.

    `on_node=False` leaves the node itself untouched, for tests that only look at rows.
    """

    class Meta:
        model = Container

    on_node = True
    customer = factory.SubFactory(UserFactory)
    name = factory.Sequence(lambda n: f"web-{n}")
    plan = "Small 1 GB"
    cpus = 1
    memory_mb = 1024
    disk_gb = 20
    system = "Debian 12"
    image = IMAGE
    status = Status.STOPPED
    node = factory.Maybe(
        factory.LazyAttribute(lambda container: container.status not in NOWHERE),
        yes_declaration=factory.SubFactory(NodeFactory),
        no_declaration=None,
    )

    @classmethod
    def _create(cls, model_class: type[Container], *args: Any, **fields: Any) -> Container:
        on_node = fields.pop("on_node")
        container: Container = super()._create(model_class, *args, **fields)
        if container.node is not None and on_node and container.status != Status.CREATING:
            power = Power.RUNNING if container.status in RUNS else Power.STOPPED
            simulated(container.node).seed(spec_of(container), power)
        if container.status in TRANSIENT:
            OperationFactory.create(container=container)
        return container


class OperationFactory(DjangoModelFactory[Operation]):
    """The open Operation of a container in a transient status: the first in the table that
    leads there, unless `kind` is given."""

    class Meta:
        model = Operation

    container = factory.SubFactory(ContainerFactory, status=Status.BOOTING)
    during = factory.SelfAttribute("container.status")
    kind = factory.LazyAttribute(lambda operation: _ways_to(operation.during)[0][0])
    was = factory.LazyAttribute(
        lambda operation: next(w for k, w in _ways_to(operation.during) if k == operation.kind)
    )
    node = factory.SelfAttribute("container.node")
    target = factory.Maybe(
        factory.LazyAttribute(lambda operation: operation.kind == "migrate"),
        yes_declaration=factory.SubFactory(NodeFactory),
        no_declaration=None,
    )
    deadline_at = factory.LazyFunction(lambda: timezone.now() + timedelta(minutes=10))


def _ways_to(status: str) -> list[tuple[str, str]]:
    """The actions with work to do that lead to a transient status, each with its sources."""
    order = list(Container.actions())
    found = [
        (arrow.name, str(arrow.source))
        for arrow in Container.transitions()
        if arrow.target == status and arrow.custom.get("deadline")
    ]
    return sorted(found, key=lambda way: order.index(way[0]))


class OrderFactory(DjangoModelFactory[Order]):
    """An unpaid order of `plan`, whose container waits; `status` says otherwise."""

    class Meta:
        model = Order

    customer = factory.SubFactory(UserFactory)
    plan = factory.SubFactory(PlanFactory)
    container = factory.SubFactory(
        ContainerFactory,
        status=Status.ORDERED,
        customer=factory.SelfAttribute("..customer"),
        plan=factory.SelfAttribute("..plan.name"),
    )
    price = factory.SelfAttribute("plan.price")
    currency = "EUR"
    period = factory.SelfAttribute("plan.period")
