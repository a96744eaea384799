"""The demo: simulated nodes, demo people, and a few dozen containers with a believable past.

The only code that makes history up. Each past is told by the table's own transitions, so that
it cannot say what could never have happened; what a past ends in is put on the nodes as well.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone
from payments import PaymentStatus

from containers.connect import simulated
from containers.drivers import NoRoom, Power, Refused, Resources, Spec
from containers.drivers.simulated import SimulatedDriver
from containers.models import Container, FileChange, Node, Operation, StatusChange
from containers.operations.outcomes import at_rest
from containers.placement import NoRoomAnywhere
from containers.statuses import Status
from orders.models import Order, OrderChange, Payment, Plan, System
from panel.models import User

PASSWORD = "berth-demo"  # noqa: S105  # everybody may know it: the demo listens on loopback
WELCOME = """The demo is ready: three simulated nodes (nbg-1 is unplugged, so that Off-line can
be seen; plug it in on its page), plans, people and containers in every status."""

PEOPLE = {
    "admin": ("Ada", "Meyer"),
    "staff": ("Sten", "Holm"),
    "lena": ("Lena", "Fischer"),
    "omar": ("Omar", "Okafor"),
    "kim": ("Kim", "Park"),
    "rosa": ("Rosa", "Alvarez"),
    "dubois": ("Jean", "Dubois"),
}
SYSTEMS = {
    "Debian 12": "debian/12",
    "Debian 13": "debian/13",
    "Ubuntu 24.04": "ubuntu/24.04",
    "Alpine 3.20": "alpine/3.20",
}
# Name: cores, memory in GiB, disk in GiB, price a month.
PLANS = {
    "Small 1 GB": (1, 1, 20, "4.90"),
    "Standard 2 GB": (1, 2, 40, "8.90"),
    "Standard 4 GB": (2, 4, 80, "15.90"),
    "Standard 8 GB": (4, 8, 160, "28.90"),
    "Large 60 GB": (16, 60, 600, "179.00"),
}
NODES = ["fsn-1", "fsn-2", "nbg-1"]
NO_ROOM_LEFT = NoRoom("pool default: no space left on device")
BROKEN_INIT = Refused(
    "start ct: exit status 1: init: /sbin/init: no such file or directory",
    "The system did not boot: its /sbin/init is missing. Repair its files, or ask support.",
)


@dataclass(frozen=True)
class Past:
    """One container's story: words of what was done since `days` ago, oldest first.

    A word is an action. With "!" it failed, with "…" it is still under way; "pay", "cancel",
    "refund" and "lost" are what they say, "by-admin" a creation without payment.
    """

    customer: str
    name: str
    plan: str
    system: str
    node: str
    days: float
    words: str


PASTS = [
    Past("lena", "web-01", "Standard 2 GB", "Debian 12", "fsn-1", 41, "pay create start restart restart"),
    Past("lena", "shop-db", "Standard 4 GB", "Debian 12", "fsn-1", 41, "pay create start stop start"),
    Past("lena", "staging", "Small 1 GB", "Debian 13", "fsn-2", 12, "pay create start stop"),
    Past("lena", "legacy", "Small 1 GB", "Debian 12", "fsn-1", 30, "pay create start stop repair"),
    Past("lena", "blog", "Small 1 GB", "Debian 12", "", 0.02, ""),
    Past("lena", "cache", "Small 1 GB", "Alpine 3.20", "fsn-2", 3, "pay create start! start!"),
    Past("lena", "old-shop", "Standard 2 GB", "Debian 12", "fsn-2", 60, "pay create start stop destroy"),
    Past("lena", "spring-sale", "Small 1 GB", "Debian 12", "", 25, "cancel"),
    Past("omar", "mail", "Small 1 GB", "Debian 12", "fsn-2", 33, "pay create start stop start…"),
    Past("omar", "build-7", "Standard 8 GB", "Ubuntu 24.04", "fsn-2", 0.01, "pay create…"),
    Past("omar", "build-6", "Standard 8 GB", "Ubuntu 24.04", "fsn-1", 20, "pay create start"),
    Past("omar", "build-5", "Standard 4 GB", "Ubuntu 24.04", "fsn-2", 20, "pay create start stop destroy…"),
    Past("omar", "wiki", "Small 1 GB", "Debian 13", "fsn-1", 15, "pay create start migrate"),
    Past("omar", "tickets", "Standard 2 GB", "Debian 13", "fsn-2", 14, "pay create! create start"),
    Past("omar", "render", "Large 60 GB", "Ubuntu 24.04", "", 0.2, "pay wait"),
    Past("omar", "vpn", "Small 1 GB", "Alpine 3.20", "fsn-1", 9, "pay create start stop repair stop"),
    Past("rosa", "files", "Small 1 GB", "Debian 12", "fsn-1", 44, "pay create start migrate…"),
    Past("rosa", "photos", "Standard 4 GB", "Debian 12", "fsn-2", 40, "pay create start"),
    Past("rosa", "radio", "Small 1 GB", "Debian 12", "fsn-1", 22, "pay create start stop…"),
    Past("rosa", "archive", "Standard 8 GB", "Debian 12", "nbg-1", 51, "pay create start lost"),
    Past("rosa", "forum", "Standard 2 GB", "Debian 13", "fsn-2", 5, "pay create start"),
    Past("rosa", "trial", "Small 1 GB", "Debian 12", "", 8, "pay create! create! refund"),
    Past("dubois", "ci-runner", "Standard 4 GB", "Ubuntu 24.04", "nbg-1", 37, "pay create start lost"),
    Past("dubois", "registry", "Standard 4 GB", "Ubuntu 24.04", "nbg-1", 37, "pay create start stop lost"),
    Past("dubois", "portal", "Standard 2 GB", "Debian 12", "fsn-1", 29, "pay create start restart"),
    Past("dubois", "intranet", "Standard 2 GB", "Debian 12", "fsn-2", 29, "pay create start"),
    Past("dubois", "metrics", "Small 1 GB", "Debian 13", "fsn-1", 18, "pay create start"),
    Past("dubois", "sandbox", "Small 1 GB", "Debian 13", "fsn-2", 2, "by-admin start"),
    Past("dubois", "backup", "Standard 8 GB", "Debian 12", "", 1, "pay create! create! create! create! create!"),
    Past("kim", "notes", "Small 1 GB", "Debian 12", "", 0.03, ""),
    Past("kim", "api", "Standard 2 GB", "Debian 13", "fsn-1", 17, "pay create start"),
    Past("kim", "api-test", "Small 1 GB", "Debian 13", "fsn-2", 17, "pay create start stop"),
    Past("kim", "game", "Standard 4 GB", "Debian 12", "fsn-2", 11, "pay create start restart"),
    Past("kim", "game-old", "Standard 2 GB", "Debian 12", "fsn-1", 70, "pay create start stop destroy"),
    Past("kim", "sketch", "Small 1 GB", "Alpine 3.20", "fsn-1", 4, "pay create"),
    Past("kim", "dns", "Small 1 GB", "Alpine 3.20", "fsn-2", 26, "pay create start"),
]  # fmt: skip

# How much longer than usual the work under way takes, so that it can be looked at.
SHOWN_FOR = {"create": 45, "start": 60, "migrate": 60, "destroy": 100, "stop": 1}
TOOK = {"create": 6.2, "start": 2.1, "stop": 2.6, "restart": 4.8, "migrate": 9.4, "destroy": 1.5}


@transaction.atomic
def make() -> None:
    """Set everything up, in the database and on the simulated nodes. The database is empty."""
    people = _people()
    plans = _plans()
    nodes = {name: _node(name) for name in NODES}
    _Storyteller(people, plans, nodes).tell(PASTS)
    unplugged = simulated(nodes["nbg-1"])
    unplugged.set_faults(replace(unplugged.faults(), unplugged=True))


def _people() -> dict[str, User]:
    password = make_password(PASSWORD)
    for username, (first, last) in PEOPLE.items():
        User.objects.create(
            username=username,
            first_name=first,
            last_name=last,
            email=f"{username}@example.com",
            password=password,
            is_administrator=username == "admin",
            is_superuser=username == "admin",
            is_staff=username in {"admin", "staff"},
            is_demo=True,
        )
    people = {user.username: user for user in User.objects.all()}
    people["staff"].groups.set(Group.objects.filter(name="Staff"))
    return people


def _plans() -> dict[str, Plan]:
    systems = [System.objects.create(name=name, image=image) for name, image in SYSTEMS.items()]
    plans = {}
    for name, (cpus, memory, disk, price) in PLANS.items():
        plans[name] = Plan.objects.create(
            name=name, cpus=cpus, memory_mb=memory * 1024, disk_gb=disk, price=Decimal(price)
        )
        plans[name].systems.set(systems)
    Plan.objects.create(
        name="Classic 512 MB", cpus=1, memory_mb=512, disk_gb=10, price=Decimal("2.90"),
        is_offered=False, description="No longer sold",
    )  # fmt: skip
    return plans


def _node(name: str) -> Node:
    has = Resources(cpus=16, memory_mb=64 * 1024, disk_gb=1200)
    SimulatedDriver.install(settings.DATA / "nodes" / name, has, SYSTEMS.values())
    unplugged = name == "nbg-1"
    return Node.objects.create(
        name=name,
        kind=Node.Kind.SIMULATED,
        cpus=has.cpus,
        memory_mb=has.memory_mb,
        disk_gb=has.disk_gb,
        version="simulated",
        online=not unplugged,
        online_since=timezone.now() - (timedelta(minutes=24) if unplugged else timedelta(days=71)),
        misses=3 if unplugged else 0,
        problem="unplugged" if unplugged else "",
    )


class _Storyteller:
    """Writes pasts down as if they had happened, and puts what they end in on the nodes."""

    def __init__(
        self, people: dict[str, User], plans: dict[str, Plan], nodes: dict[str, Node]
    ) -> None:
        self.people, self.plans, self.nodes = people, plans, nodes
        self.now = timezone.now()
        self.dice = random.Random(2041)  # noqa: S311  # the same demo every time

    def tell(self, pasts: list[Past]) -> None:
        for past in sorted(pasts, key=lambda past: -past.days):
            self._tell(past)

    def _tell(self, past: Past) -> None:
        words = past.words.split()
        began = self.now - timedelta(days=past.days)
        self.customer, self.plan = self.people[past.customer], self.plans[past.plan]
        self.container = Container.objects.create(
            customer=self.customer,
            name=past.name,
            plan=self.plan.name,
            cpus=self.plan.cpus,
            memory_mb=self.plan.memory_mb,
            disk_gb=self.plan.disk_gb,
            system=past.system,
            image=SYSTEMS[past.system],
            ordered_at=began,
            status_since=began,
        )
        self.order = Order.objects.create(
            customer=self.customer,
            plan=self.plan,
            container=self.container,
            price=self.plan.price,
            currency=settings.CURRENCY,
            period=self.plan.period,
            ordered_at=began,
        )
        self._order_change("", began, by=self.customer)
        self._change("", began, by=self.customer, because=f"order {self.order.pk}")
        for number, word in enumerate(words):
            self._happens(word, self._when(began, number, len(words), word), past)
        self.order.save()
        self.container.save()
        self._put_on_node(past)

    def _when(self, began: datetime, number: int, of: int, word: str) -> datetime:
        """Payment and creation follow the order closely; the rest spreads until today."""
        if word.endswith("…"):
            return self.now - timedelta(seconds=self.dice.randint(2, 6))
        if number < 2:
            return began + timedelta(minutes=2 + 3 * number) * min(1, (self.now - began).days + 0.05)
        share = (number - 1 + self.dice.random() * 0.8) / of
        return began + (self.now - began) * min(share, 0.98)

    def _happens(self, word: str, at: datetime, past: Past) -> None:
        action = word.rstrip("!…")
        if action == "pay":
            self._pay(at)
        elif action in {"cancel", "refund"}:
            self._undo_order(action, at)
        elif action == "wait":
            self.container.problem = NoRoomAnywhere.sentence
            self.container.create_again_at = self.now
        elif action == "lost":
            self._lost()
        elif action == "repair":
            self._repair(at)
        else:
            self._work(action.replace("by-admin", "create"), word, at, past)

    def _pay(self, at: datetime) -> None:
        Payment.objects.create(
            order=self.order,
            variant="dummy",
            status=PaymentStatus.CONFIRMED,
            total=self.order.price,
            captured_amount=self.order.price,
            currency=self.order.currency,
            description=f"{self.plan} · {self.container}",
        )
        was = self.order.status
        self.order.paid()
        self.order.paid_at = at
        self._order_change(was, at, because="payment confirmed")

    def _undo_order(self, action: str, at: datetime) -> None:
        was = self.order.status
        getattr(self.order, action)()
        by = self.people["staff"] if action == "refund" else self.customer
        self._order_change(was, at, by=by)
        self.order.payments.update(status=PaymentStatus.REFUNDED, captured_amount=0)
        self.container.withdrawn_at = at
        self.container.create_again_at = None

    def _lost(self) -> None:
        was, at = self.container.status, self.nodes["nbg-1"].online_since
        self.container.lost()
        self.container.problem = (
            "The connection to node nbg-1 is broken. Nothing is lost: the status is read from "
            "the node as soon as it is back."
        )
        self._change(was, at, because="node nbg-1 does not answer")

    def _repair(self, at: datetime) -> None:
        was = self.container.status
        self.container.repair()
        self._change(was, at, by=self.customer, because="Repair")
        for minutes, path, size in ((3, "/etc/nginx/nginx.conf", 812), (9, "/etc/hosts", 188)):
            FileChange.objects.create(
                container=self.container,
                at=at + timedelta(minutes=minutes),
                by=self.customer,
                did="edited",
                path=path,
                size=size,
            )

    def _work(self, action: str, word: str, at: datetime, past: Past) -> None:
        container, was = self.container, self.container.status
        if action == "create":
            container.node = self.nodes[past.node or "fsn-1"]
        getattr(container, action)()
        paid = word != "by-admin" and action == "create"
        helper = self.people["admin"]
        by = None if paid else helper if action in {"create", "migrate", "destroy"} else self.customer
        because = f"order {self.order.pk} was paid" if paid else Container.actions()[action].label
        operation = Operation.objects.create(
            container=container,
            kind=action,
            node=container.node,
            target=self._other(container.node) if action == "migrate" else None,
            was=was,
            during=container.status,
            asked_by=by,
            because=because if paid else "",
            asked_at=at,
            not_before=at,
            woken_at=at,
            deadline_at=at + Container.deadline_of(action),
        )
        self._change(was, at, operation, by=by, because=because)
        if word.endswith("…"):
            operation.deadline_at = self.now + Container.deadline_of(action)
            operation.save()
            return
        self._end(operation, failed=word.endswith("!"))

    def _end(self, operation: Operation, *, failed: bool) -> None:
        container, action = self.container, operation.kind
        took = TOOK[action] * self.dice.uniform(0.8, 1.4)
        at = operation.asked_at + timedelta(seconds=took)
        running = action in {"start", "restart"} or (action == "migrate" and operation.was == "running")
        if action == "restart":
            middle = at - timedelta(seconds=took * 0.45)
            was = container.status
            container.halted_to_boot()
            self._change(was, middle, operation)
        was = container.status
        arrow = next(
            arrow for arrow in container.get_available_status_transitions()
            if arrow.custom.get("ok") is (not failed)
        )  # fmt: skip
        getattr(container, arrow.name)(now=at_rest(operation.was, running=running and not failed))
        reason = NO_ROOM_LEFT if action == "create" else BROKEN_INIT
        operation.outcome = Operation.Outcome.FAILED if failed else Operation.Outcome.DONE
        operation.started_at, operation.ended_at = operation.asked_at, at
        operation.attempts, operation.progress = 1, None if failed else 100
        if failed:
            operation.error, operation.error_detail = reason.sentence, reason.detail
        operation.save()
        container.problem = reason.sentence if failed else ""
        self._change(was, at, operation, because=container.problem or f"took {took:.1f} s")
        if action == "create":
            container.create_tries = container.create_tries + 1 if failed else 0
            self._created(at) if not failed else None
        if container.is_nowhere:
            container.node, container.address = None, ""
        elif operation.target:
            container.node = operation.target

    def _created(self, at: datetime) -> None:
        if self.order.status == Order.Status.PAID:
            was = self.order.status
            self.order.fulfilled()
            self._order_change(was, at, because="its container was created")

    def _other(self, node: Node | None) -> Node:
        return self.nodes["fsn-2" if node == self.nodes["fsn-1"] else "fsn-1"]

    def _order_change(
        self, was: str, at: datetime, *, by: User | None = None, because: str = ""
    ) -> None:
        OrderChange.objects.create(
            order=self.order, from_status=was, to_status=self.order.status, at=at, by=by,
            because=because,
        )  # fmt: skip

    def _change(
        self,
        was: str,
        at: datetime,
        operation: Operation | None = None,
        *,
        by: User | None = None,
        because: str = "",
    ) -> None:
        self.container.status_since = at
        self.container.revision += 1
        StatusChange.objects.create(
            container=self.container,
            from_status=was,
            to_status=self.container.status,
            at=at,
            by=by,
            because=because,
            operation=operation,
        )

    def _put_on_node(self, past: Past) -> None:
        """What the container's past ends in, on its node as well, so that no look differs."""
        container = self.container
        if container.node is None:
            return
        under_way = container.operations.open().first()
        before = under_way.was if under_way else container.status
        if container.status == Status.OFFLINE:
            before = container.changes.latest("pk").from_status
        power = Power.RUNNING if before == Status.RUNNING else Power.STOPPED
        if container.status == Status.CREATING:
            power = Power.BUSY
        driver = simulated(container.node)
        driver.seed(
            Spec(
                name=container.instance_name,
                hostname=container.name,
                image=container.image,
                cpus=container.cpus,
                memory_mb=container.memory_mb,
                disk_gb=container.disk_gb,
            ),
            power,
            pace=SHOWN_FOR[under_way.kind] if under_way else None,
            stubborn=container.status == Status.STOPPING,
        )
        seen = driver.instance(container.instance_name)
        if seen is not None and seen.address:
            container.address = seen.address
            container.save()
