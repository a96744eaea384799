"""What happened to a container. Rows are never changed, and never deleted, except a FileChange that
the node is sure did not happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from containers.models.container import Container
from containers.statuses import Status

if TYPE_CHECKING:
    from panel.models import User

Row = TypeVar("Row", bound=models.Model, covariant=True)


def on_a_list() -> models.Exists:
    """The condition that a row's container was not withdrawn. It is checked row by row, so that the
    newest rows of everybody are found without reading all containers."""
    container = models.OuterRef("container")
    return models.Exists(Container.objects.filter(pk=container, withdrawn_at=None))


class HistoryQuerySet(models.QuerySet[Row]):
    """Rows that belong to a `container`."""

    def visible_to(self, user: User) -> Self:
        """What happened to the containers that this person may see."""
        if user.sees_everything:
            return self.filter(on_a_list())
        return self.filter(container__withdrawn_at=None, container__customer=user)


# `StatusChange.is_failure` as a condition of a query.
FAILURE = models.Q(operation__outcome="failed", operation__ended_at=models.F("at"))


class StatusChange(models.Model):
    """From which status to which, when, by whom or by what, why, in which Operation."""

    container = models.ForeignKey(
        "containers.Container", on_delete=models.PROTECT, related_name="changes"
    )
    from_status = models.CharField(max_length=20, choices=Status.choices, blank=True)
    to_status = models.CharField(max_length=20, choices=Status.choices)
    at = models.DateTimeField(default=timezone.now)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    because = models.TextField(blank=True)
    operation = models.ForeignKey(
        "containers.Operation",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="changes",
    )

    objects = HistoryQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["to_status", "-id"], name="changes_to_status")]

    def __str__(self) -> str:
        return f"{self.get_from_status_display()} → {self.get_to_status_display()}"

    @property
    def is_failure(self) -> bool:
        """Whether it is the end of an Operation that failed."""
        work = self.operation
        return work is not None and work.outcome == work.Outcome.FAILED and work.ended_at == self.at


class FileChange(models.Model):
    """What somebody did to a file in repair. `size` is its size in bytes afterwards, if it has one.

    The row is written before the node is asked, and taken back only where the node is sure
    that it did nothing.
    """

    container = models.ForeignKey(
        "containers.Container", on_delete=models.PROTECT, related_name="file_changes"
    )
    at = models.DateTimeField(default=timezone.now)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    did = models.CharField(max_length=20)
    path = models.TextField()
    size = models.PositiveBigIntegerField(null=True, blank=True)

    objects = HistoryQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.did} {self.path}"
