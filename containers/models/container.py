"""A container and the one table of its statuses: who may do what in which, and what follows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django_fsm import FSMField, Transition, transition

from containers import who
from containers.models.indexes import INDEXES, KEPT, LISTED
from containers.models.lifecycle import Action, Lifecycle, as_reported
from containers.statuses import NOWHERE, TRANSIENT, Status

if TYPE_CHECKING:
    from containers.models.node import Node
    from containers.models.operation import Operation
    from panel.models import User

# RFC 1123: what may stand between two dots of a host name.
host_name = RegexValidator(
    r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z",
    "Use small letters, digits and hyphens, 63 at most; begin and end with a letter or digit.",
)


class ContainerQuerySet(models.QuerySet["Container"]):
    def visible_to(self, user: User) -> ContainerQuerySet:
        """What this person may see. Every page starts here; what is not in it is a 404."""
        kept = self.filter(KEPT)
        return kept if user.sees_everything else kept.filter(customer=user)

    def living(self) -> ContainerQuerySet:
        """All but the destroyed and those whose order was cancelled."""
        return self.filter(LISTED)

    def locked(self, pk: int) -> Container:
        """One container with its node, fresh; it stays locked until the transaction ends."""
        return self.select_for_update(of=("self",)).select_related("node").get(pk=pk)


# `Container.stopping_since` as an expression of SQL.
STOPPING_SINCE = models.Case(models.When(status=Status.STOPPING, then="status_since"))


def stops_too_long(since: datetime | None) -> bool:
    """Whether a container that has been Stopping since this time takes longer than it should."""
    return since is not None and timezone.now() >= since + settings.STOP_PATIENCE


def not_paid(container: Container) -> str:
    """What to ask before it is created while its order is not paid; "" otherwise."""
    order = getattr(container, "order", None)
    if order is None or not order.is_unpaid:
        return ""
    return f"Order {order.pk} is not paid. Create it all the same? The order stays unpaid."


class Container(Lifecycle):
    """One system container, from its order until after it is destroyed.

    What was ordered is copied here, so that a plan may change without changing what was sold.
    `problem` is what went wrong last, in the customer's words; empty while all is well.
    `missing` says that its node was asked, and does not have it.
    `revision` grows with every change to the container, its work or its order that a page shows;
    not when its customer or node is renamed, nor when it becomes overdue.
    `buttons` is set by `views.rows.with_buttons`, `order_number` (None where nobody ordered it) by
    `views.rows.Listed`.
    """

    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="containers",
        db_index=False,
    )
    name = models.CharField(max_length=63, validators=[host_name])
    plan = models.CharField(max_length=80)
    cpus = models.PositiveIntegerField("processor cores")
    memory_mb = models.PositiveIntegerField("memory in MiB")
    disk_gb = models.PositiveIntegerField("disk in GiB")
    system = models.CharField(max_length=80)
    image = models.CharField(max_length=120)
    ssh_key = models.TextField("SSH key", blank=True)

    node = models.ForeignKey(
        "containers.Node",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="containers",
        db_index=False,
    )
    address = models.CharField(max_length=45, blank=True)
    status = FSMField(
        choices=Status.choices, default=Status.ORDERED, protected=True, editable=False
    )
    status_since = models.DateTimeField(default=timezone.now, editable=False)
    problem = models.TextField(blank=True, editable=False)
    missing = models.BooleanField(default=False, editable=False)
    revision = models.PositiveBigIntegerField(default=1, editable=False)

    create_tries = models.PositiveIntegerField(default=0, editable=False)
    create_again_at = models.DateTimeField(null=True, blank=True, editable=False)
    ordered_at = models.DateTimeField(default=timezone.now, editable=False)
    withdrawn_at = models.DateTimeField(null=True, blank=True, editable=False)

    buttons: list[Action]
    order_number: int | None

    objects = ContainerQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "name"],
                condition=LISTED,
                name="one_living_container_of_a_name",
                violation_error_message="You already have a container of this name.",
            ),
        ]
        indexes = INDEXES

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("containers:detail", args=[self.pk])

    def get_status_display(self) -> str:  # type: ignore[no-redef]
        """As Django's own, which builds the list of all choices anew for each row of a page."""
        return Status(self.status).label

    @property
    def instance_name(self) -> str:
        """What it is called on its node: derived from the id, so that it cannot be made twice."""
        return f"ct-{self.pk}"

    @property
    def is_transient(self) -> bool:
        return self.status in TRANSIENT

    @property
    def is_at_rest(self) -> bool:
        """Whether no work is under way. False while it is Off-line: then that is not known."""
        return not self.is_transient and self.status != Status.OFFLINE

    @property
    def is_nowhere(self) -> bool:
        """Whether nothing of it is on a node: not yet, or not any more."""
        return self.status in NOWHERE

    @property
    def operation(self) -> Operation | None:
        """The open Operation. Costs no query at rest, nor where `operations` was prefetched as
        `open_operations`."""
        if self.is_at_rest:
            return None
        try:
            found: list[Operation] = self.open_operations  # type: ignore[attr-defined]
        except AttributeError:
            found = list(self.operations.open().select_related("target"))
        return found[0] if found else None

    @property
    def stopping_since(self) -> datetime | None:
        """None where it is not being stopped."""
        return self.status_since if self.status == Status.STOPPING else None

    def is_overdue(self) -> bool:
        """Whether it takes longer to stop than it should."""
        return stops_too_long(self.stopping_since)

    def is_gone(self) -> bool:
        """Whether it is nowhere, as far as can be known: its node answers, and does not have it."""
        return self.missing and self.node is not None and self.node.online

    @property
    def progress(self) -> int | None:
        """How far the work on it is, 0 to 100, where the node can tell."""
        operation = self.operation
        return operation.progress if operation else None

    @property
    def destination(self) -> Node | None:
        """The node that it is on its way to."""
        operation = self.operation
        return operation.target if operation else None

    def outcome(self, *, ok: bool) -> Transition:
        """The arrow out of this transient status that ends its work well, or not."""
        arrows = self.get_available_status_transitions()
        return next(arrow for arrow in arrows if arrow.custom.get("ok") is ok)

    @classmethod
    def kinds(cls) -> list[str]:
        """The actions that are work: every kind of Operation."""
        return [name for name, action in cls.actions().items() if action.deadline]

    @classmethod
    def deadline_of(cls, kind: str) -> timedelta:
        """How long this kind of Operation may take."""
        deadline = cls.actions()[kind].deadline
        assert deadline is not None
        return deadline

    # --- what people ask for -------------------------------------------------------------

    @transition(
        status, Status.ORDERED, Status.CREATING, permission=who.administrator,
        conditions=[lambda self: self.withdrawn_at is None],
        custom={
            "label": "Create", "icon": "plus", "deadline": timedelta(minutes=30), "says": not_paid,
        },
    )  # fmt: skip
    def create(self) -> None:
        """Make it on a node; asked by a payment, or by an administrator without one."""

    @transition(
        status, Status.STOPPED, Status.BOOTING, permission=who.owner,
        custom={"label": "Start", "icon": "play", "deadline": timedelta(minutes=5)},
    )  # fmt: skip
    def start(self) -> None:
        """Boot it."""

    @transition(
        status, [Status.RUNNING, Status.REPAIRING], Status.STOPPING, permission=who.owner,
        custom={"label": "Stop", "icon": "stop", "deadline": timedelta(minutes=15)},
    )  # fmt: skip
    def stop(self) -> None:
        """Shut it down; out of repair, close its files."""

    @transition(
        status, Status.RUNNING, Status.STOPPING, permission=who.owner,
        custom={"label": "Restart", "icon": "restart", "deadline": timedelta(minutes=15)},
    )  # fmt: skip
    def restart(self) -> None:
        """Shut it down and boot it again, as one piece of work."""

    @transition(
        status, Status.STOPPED, Status.REPAIRING, permission=who.owner,
        custom={"label": "Repair", "icon": "wrench"},
    )  # fmt: skip
    def repair(self) -> None:
        """Open its files; nothing boots until it is stopped again."""

    @transition(
        status, Status.STOPPING, Status.STOPPING, permission=who.administrator,
        conditions=[is_overdue],
        custom={
            "label": "Force off", "icon": "power", "danger": True,
            "warning": "The plug is pulled: what programs have not written yet is lost.",
        },
    )  # fmt: skip
    def force_off(self) -> None:
        """Harden the open Operation: no more waiting for the system inside."""

    @transition(
        status, [Status.STOPPED, Status.RUNNING], Status.MIGRATING, permission=who.administrator,
        custom={
            "label": "Migrate", "icon": "move", "deadline": timedelta(hours=2), "asks_target": True,
            "warning": "A running container is stopped, moved and started again. "
            "It cannot be reached meanwhile, and its address changes.",
        },
    )  # fmt: skip
    def migrate(self) -> None:
        """Move it to another node."""

    @transition(
        status, [Status.STOPPED, Status.REPAIRING], Status.DESTROYING,
        permission=who.administrator,
        custom={
            "label": "Destroy", "icon": "trash", "deadline": timedelta(minutes=15), "danger": True,
            "typed": True,
            "warning": "What is destroyed is deleted with every file in it. "
            "There is no way to bring it back.",
        },
    )  # fmt: skip
    def destroy(self) -> None:
        """Delete it from its node; the record stays."""

    # --- outcomes of work: `now` is the status that the node reports afterwards -----------
    # Out of each transient status lead one outcome with `ok=True` and one with `ok=False`.

    @transition(status, Status.CREATING, Status.STOPPED, permission=who.nobody, custom={"ok": True})
    def created(self, now: str) -> None: ...

    @transition(
        status, Status.CREATING, Status.ORDERED, permission=who.nobody, custom={"ok": False}
    )
    def creation_failed(self, now: str) -> None: ...

    @transition(status, Status.BOOTING, Status.RUNNING, permission=who.nobody, custom={"ok": True})
    def booted(self, now: str) -> None: ...

    @transition(status, Status.BOOTING, Status.STOPPED, permission=who.nobody, custom={"ok": False})
    def boot_failed(self, now: str) -> None: ...

    @transition(status, Status.STOPPING, Status.STOPPED, permission=who.nobody, custom={"ok": True})
    def halted(self, now: str) -> None: ...

    @transition(
        status, Status.STOPPING, as_reported(Status.RUNNING, Status.REPAIRING),
        permission=who.nobody, custom={"ok": False},
    )  # fmt: skip
    def stop_failed(self, now: str) -> None: ...

    @transition(status, Status.STOPPING, Status.BOOTING, permission=who.nobody)
    def halted_to_boot(self) -> None:
        """Half-way through a restart."""

    @transition(
        status, Status.MIGRATING, as_reported(Status.STOPPED, Status.RUNNING),
        permission=who.nobody, custom={"ok": True},
    )  # fmt: skip
    def migrated(self, now: str) -> None: ...

    @transition(
        status, Status.MIGRATING, as_reported(Status.STOPPED, Status.RUNNING),
        permission=who.nobody, custom={"ok": False},
    )  # fmt: skip
    def migration_failed(self, now: str) -> None: ...

    @transition(
        status, Status.DESTROYING, Status.DESTROYED, permission=who.nobody, custom={"ok": True}
    )
    def destroyed(self, now: str) -> None: ...

    @transition(
        status, Status.DESTROYING, as_reported(Status.STOPPED, Status.REPAIRING),
        permission=who.nobody, custom={"ok": False},
    )  # fmt: skip
    def destruction_failed(self, now: str) -> None: ...

    # --- what the watcher sees ---------------------------------------------------------------

    @transition(
        status,
        [status for status in Status if status not in {*NOWHERE, Status.OFFLINE}],
        Status.OFFLINE,
        permission=who.nobody,
    )
    def lost(self) -> None:
        """Its node does not answer any more."""

    @transition(
        status, [Status.STOPPED, Status.RUNNING, Status.REPAIRING], Status.OFFLINE,
        permission=who.nobody,
    )  # fmt: skip
    def vanished(self) -> None:
        """Its node answers, and does not have it."""
        self.missing = True

    @transition(
        status, [Status.STOPPED, Status.REPAIRING, Status.OFFLINE], Status.RUNNING,
        permission=who.nobody,
    )  # fmt: skip
    def found_running(self) -> None:
        self.missing = False

    @transition(status, [Status.RUNNING, Status.OFFLINE], Status.STOPPED, permission=who.nobody)
    def found_stopped(self) -> None:
        self.missing = False

    @transition(status, Status.OFFLINE, as_reported(*TRANSIENT), permission=who.nobody)
    def resumed(self, now: str) -> None:
        """Its node is back, and so is the work that was under way."""

    # --- what an administrator decides where its node does not have it: see containers.settling ---

    @transition(
        status, Status.OFFLINE, Status.DESTROYED, permission=who.nobody, conditions=[is_gone]
    )
    def given_up(self) -> None:
        """Nobody looks for it any more; the record stays."""
        self.missing = False

    @transition(
        status, Status.OFFLINE, Status.CREATING, permission=who.nobody, conditions=[is_gone]
    )
    def begun_again(self) -> None:
        """It is created again on its node; nothing of what was in it comes back."""
        self.missing = False
