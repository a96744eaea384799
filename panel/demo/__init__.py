"""The demo: simulated nodes, demo people, and a few dozen containers with a believable past."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone

from containers import inventory
from containers.connect import simulated
from containers.drivers import Resources
from containers.drivers.simulated import SimulatedDriver
from containers.models import Container, Node
from orders.models import Plan, System
from panel.accounts import DEMO_PASSWORD as PASSWORD
from panel.demo.cast import (
    NODES,
    PASTS,
    PEOPLE,
    PLANS,
    REAL_IMAGE,
    REAL_PLAN,
    REAL_SYSTEM,
    SYSTEMS,
    UNPLUGGED,
)
from panel.demo.measuring import measure
from panel.demo.placing import put_on_node
from panel.demo.story import Story
from panel.demo.world import World
from panel.models import User
from panel.staff import GROUP

__all__ = ["PASSWORD", "WELCOME", "NotHere", "make"]

WELCOME = f"""\
A demo was made: simulated nodes, plans, people, and containers in every status. Node {UNPLUGGED}
is unplugged, so that Off-line can be seen; an administrator plugs it in on its page."""

NODE = Resources(cpus=16, memory_mb=64 * 1024, disk_gb=1200)


class NotHere(Exception):
    """A demo cannot be made here; the text says why, and what to do instead."""


@transaction.atomic
def make() -> None:
    """Set everything up, in the database and on simulated nodes. Raises NotHere."""
    if settings.HTTPS:
        raise NotHere(
            "Everybody knows the password of the demo's people: it is not made where the panel "
            "is reached through https. Leave BERTH_URL out."
        )
    if any(model.objects.exists() for model in (User, Node, Plan, Container)):
        raise NotHere(
            "Something is stored here already, and a demo is not mixed into it. Set BERTH_DATA "
            "to a new folder."
        )
    now = timezone.now()
    world = World(now, people=_people(), plans=_plans(), nodes=_nodes(now))
    stories = [Story(past, world) for past in sorted(PASTS, key=lambda past: -past.days)]
    for story in stories:
        story.tell()
    world.write_history()
    for story in stories:
        put_on_node(story)
    measure(now)
    unplugged = simulated(world.nodes[UNPLUGGED])
    unplugged.set_faults(replace(unplugged.faults(), unplugged=True))


def _people() -> dict[str, User]:
    people = {}
    password = make_password(PASSWORD)
    for username, person in PEOPLE.items():
        people[username] = User.objects.create(
            username=username,
            first_name=person.first_name,
            last_name=person.last_name,
            email=f"{username}@example.com",
            password=password if person.part else make_password(None),
            is_administrator=person.part == "administrator",
            is_superuser=person.part == "administrator",
            is_staff=person.part in {"administrator", "staff"},
            is_demo=bool(person.part),
        )
    people["staff"].groups.add(Group.objects.get(name=GROUP))
    return people


def _plans() -> dict[str, Plan]:
    systems = [System.objects.create(name=name, image=image) for name, image in SYSTEMS.items()]
    plans = {}
    for name, offer in PLANS.items():
        plans[name] = Plan.objects.create(
            name=name,
            description=offer.description,
            cpus=offer.cpus,
            memory_mb=offer.memory * 1024,
            disk_gb=offer.disk,
            price=Decimal(offer.price),
            is_offered=offer.is_offered,
        )
        plans[name].systems.set(systems)
    plans[REAL_PLAN].systems.create(name=REAL_SYSTEM, image=REAL_IMAGE)
    return plans


def _nodes(now: datetime) -> dict[str, Node]:
    nodes = {}
    for name in NODES:
        folder = settings.DATA / "nodes" / name
        # No row knows what is there: it is left over from an older database.
        shutil.rmtree(folder, ignore_errors=True)
        SimulatedDriver.install(folder, NODE, SYSTEMS.values())
        lost_at = now - timedelta(minutes=24) if name == UNPLUGGED else None
        nodes[name] = Node.objects.create(
            name=name,
            kind=Node.Kind.SIMULATED,
            cpus=NODE.cpus,
            memory_mb=NODE.memory_mb,
            disk_gb=NODE.disk_gb,
            version="simulated",
            online=lost_at is None,
            online_since=lost_at or now - timedelta(days=71),
            seen_at=lost_at - timedelta(seconds=15) if lost_at else now,
            misses=settings.MISSES_UNTIL_OFFLINE if lost_at else 0,
            problem=f"{name}: no route to host" if lost_at else "",
        )
        inventory.learn(nodes[name])
    return nodes
