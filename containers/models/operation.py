"""One piece of work on a container: the row is the truth, the queue only wakes the worker."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from containers.models.clocks import has_come, latest_plausible
from containers.models.history import HistoryQuerySet
from containers.statuses import Status

if TYPE_CHECKING:
    from containers.models.node import Node


# The longest pause until an Operation that a worker has released is tried again.
LONGEST_PAUSE = timedelta(seconds=30)


class OperationQuerySet(HistoryQuerySet["Operation"]):
    def open(self) -> OperationQuerySet:
        return self.filter(outcome="")

    def free(self, now: datetime) -> OperationQuerySet:
        """Those that no worker holds: none ever did, or its lease has run out."""
        return self.filter(Q(held_until=None) | has_come("held_until", now, settings.LEASE))

    def held(self, now: datetime) -> OperationQuerySet:
        """Those that a worker holds now."""
        latest = latest_plausible(now, settings.LEASE)
        return self.filter(held_until__gt=now, held_until__lte=latest)

    def due(self, now: datetime) -> OperationQuerySet:
        """Those whose time has come."""
        return self.filter(has_come("not_before", now, LONGEST_PAUSE))

    def moves_since_made(self, node: Node) -> OperationQuerySet:
        """Moves from or to this node, except of containers that were created anew since."""
        made = self.filter(container=OuterRef("container"), kind="create", pk__gt=OuterRef("pk"))
        moves = self.filter(Q(node=node) | Q(target=node), kind="migrate")
        return moves.exclude(Exists(made))

    def held_as(self, operation: Operation) -> OperationQuerySet:
        """The row of this one, as long as the worker that read it still holds it."""
        return self.open().filter(pk=operation.pk, held_by=operation.held_by)


class Operation(models.Model):
    """What, who asked, when, how far, how it ended.

    - `kind` is the name of the action, `node` where it began, `target` where a migration leads.
    - `was` is the status at rest that it began in, `during` the transient one that it is in.
    - `forced`: a stop pulls the plug instead of waiting for the system inside.
    - `restored`: it was open in a back-up that was restored. Nothing is done for it any more; its
      node is only asked what became of it.
    - `request_id` is that of the click, "" where there was none; it is in every line of the log
      about this work.
    - `woken_at` is when a worker was last called; it is not tried before `not_before`.
    - `started_at` is when a worker first took it, or took it up after its node was off-line.
    - `halting_seconds` is for how long the system inside was seen shutting down, in all tries.
    - The worker `held_by` holds it until `held_until`; before that no other touches it.
    """

    class Outcome(models.TextChoices):
        OPEN = "", "under way"
        DONE = "done", "done"
        FAILED = "failed", "failed"

    container = models.ForeignKey(
        "containers.Container", on_delete=models.PROTECT, related_name="operations"
    )
    kind = models.CharField(max_length=20)
    node = models.ForeignKey(
        "containers.Node",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="operations",
    )
    target = models.ForeignKey(
        "containers.Node", on_delete=models.PROTECT, null=True, blank=True, related_name="arriving"
    )
    was = models.CharField(max_length=20, choices=Status.choices)
    during = models.CharField(max_length=20, choices=Status.choices)
    forced = models.BooleanField(default=False)
    restored = models.BooleanField(default=False, db_default=False)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    because = models.TextField(blank=True)
    asked_at = models.DateTimeField(default=timezone.now)
    request_id = models.CharField(max_length=64, blank=True, default="", db_default="")

    progress = models.PositiveSmallIntegerField(null=True, blank=True)
    step = models.CharField(max_length=120, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    woken_at = models.DateTimeField(default=timezone.now)
    not_before = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField()
    halting_seconds = models.FloatField(default=0.0, db_default=0.0)
    held_by = models.CharField(max_length=80, blank=True)
    held_until = models.DateTimeField(null=True, blank=True)

    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.OPEN, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)
    error_detail = models.TextField(blank=True)

    objects = OperationQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["container"],
                condition=Q(outcome=""),
                name="one_open_operation_a_container",
            ),
        ]
        # Every wake-up asks for open ones, which are few beside those that have ended.
        indexes = [
            models.Index(
                fields=["node", "held_until", "woken_at"],
                condition=Q(outcome=""),
                name="open_operations",
            ),
            models.Index(
                fields=["ended_at"],
                condition=Q(outcome="failed"),
                name="failed_operations",
            ),
            models.Index(fields=["ended_at"], condition=Q(ended_at__isnull=False), name="ended_at"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.container}"

    @property
    def is_open(self) -> bool:
        return self.outcome == self.Outcome.OPEN

    def is_behind(self, problem: str) -> bool:
        """Whether its failure is the `problem` that its container shows."""
        return self.outcome == self.Outcome.FAILED and self.error == problem

    @property
    def took(self) -> str:
        """The time from asking to the end, waiting included, in two units at most: "4.2 s",
        "7 min 5 s", "2 h 5 min". Only for one that has ended."""
        assert self.ended_at is not None
        seconds = (self.ended_at - self.asked_at).total_seconds()
        if seconds < 60:
            return f"{seconds:.1f} s"
        minutes, seconds = divmod(int(seconds), 60)
        if minutes < 60:
            return f"{minutes} min {seconds} s"
        return f"{minutes // 60} h {minutes % 60} min"

    @property
    def waits_for_node(self) -> bool:
        """Whether one that is open is not carried out because its container is Off-line."""
        return self.container.status != self.during
