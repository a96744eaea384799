"""The course of a soak: start, click and break, heal, wait until all has settled, audit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from django.core.management import call_command
from django.db import DatabaseError, InterfaceError, connections
from django.utils import timezone

from containers.models import Container, Node, Operation
from containers.statuses import TRANSIENT, Status
from orders.models import Order, Payment
from tests.incus_node import IncusNode, wait_until
from tests.soak.audit import once_settled
from tests.soak.chaos import Chaos
from tests.soak.database import Database
from tests.soak.ledger import Ledger
from tests.soak.people import Administrator, Browser, Customer, Experience, Gateway, Person
from tests.soak.report import Report
from tests.soak.world import World

# Seconds that everything may take to settle once all is whole again.
PATIENCE = 180.0


def soak(
    folder: Path, port: int, database: Database, made: list[IncusNode], *,
    seed: int, seconds: float, clients: int, pause: float,
) -> Report:  # fmt: skip
    """Run one. The same seed breaks the same things in the same order."""
    call_command("migrate", verbosity=0, interactive=False)
    call_command("collectstatic", verbosity=0, interactive=False)
    world = World(folder, port, daemons=made)
    ledger, experience = Ledger(), Experience()
    try:
        world.start(clients)
        wait_until(world.answers, 60)
        stop = threading.Event()
        crowd = people(world, ledger, experience, clients, seed, stop)
        for person in crowd:
            person.start()
        chaos = Chaos(world, database, Random(seed), pause)
        quiet_every = min(60.0, seconds * 0.6)
        chaos.run(seconds, quiet_every=quiet_every)
        stop.set()
        for person in crowd:
            person.join(60)
        healed = time.monotonic()
        settle(Administrator(Browser(world.address, "ada", experience), ledger, Random(), stop, 1))
        settled_after = time.monotonic() - healed
        findings = once_settled(world.truth()) + ledger.findings()
        return Report(seed, seconds, findings, chaos, experience, settled_after)
    finally:
        world.stop()
        connections.close_all()


def people(
    world: World, ledger: Ledger, experience: Experience, clients: int, seed: int,
    stop: threading.Event,
) -> list[Person]:  # fmt: skip
    """Customers, two administrators, and a gateway that repeats itself."""

    def at(name: str, number: int) -> tuple[Browser, Ledger, Random, threading.Event, float]:
        browser = Browser(world.address, name, experience)
        return browser, ledger, Random(seed * 1000 + number), stop, 1.5

    crowd: list[Person] = [Customer(*at(f"customer{n}", n)) for n in range(clients)]
    crowd += [Administrator(*at(name, clients + n)) for n, name in enumerate(("ada", "ben"))]
    return [*crowd, Gateway(_payment_tokens, *at("customer0", clients + 2))]


def _payment_tokens() -> list[str]:
    """Of the newest payments, paid or not; none while the database is gone."""
    try:
        return list(Payment.objects.order_by("-pk").values_list("token", flat=True)[:20])
    except (DatabaseError, InterfaceError):
        connections.close_all()
        return []


def settle(staff: Person) -> None:
    """Wait until nothing is under way and every node has been looked at since; staff try the
    creations again that were given up. Gives up when the patience is over: the audit tells."""
    # The server may have been started anew since this thread last asked it.
    connections.close_all()
    staff.browser.sign_in()
    _until(lambda: _is_quiet(staff))
    since = timezone.now()
    _until(lambda: not Node.objects.filter(seen_at__lte=since).exists() and _is_quiet(staff))


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and not true():
        time.sleep(1)


def _is_quiet(staff: Person) -> bool:
    for order in Order.objects.paid_not_created():
        staff.browser.get(f"/orders/{order.pk}/")
        staff.browser.post(f"/orders/{order.pk}/try-again/")
    moving = Container.objects.filter(status__in=[*TRANSIENT, Status.OFFLINE], missing=False)
    waiting = Container.objects.filter(create_again_at__isnull=False, withdrawn_at=None)
    return not (moving.exists() or waiting.exists() or Operation.objects.open().exists())
