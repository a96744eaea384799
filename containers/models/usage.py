"""What containers and nodes have used: averages over minutes, later over hours and days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import models


class Span(models.TextChoices):
    """How much time one sample stands for. The older, the coarser: `kept` says how long."""

    MINUTE = "minute", "minute"
    HOUR = "hour", "hour"
    DAY = "day", "day"

    @property
    def length(self) -> timedelta:
        return {
            Span.MINUTE: timedelta(minutes=1),
            Span.HOUR: timedelta(hours=1),
            Span.DAY: timedelta(days=1),
        }[self]

    @property
    def kept(self) -> timedelta:
        return {
            Span.MINUTE: timedelta(days=1),
            Span.HOUR: timedelta(days=31),
            Span.DAY: timedelta(days=731),
        }[self]

    def begin(self, at: datetime) -> datetime:
        """The start of the minute, hour or day (of UTC) that a moment is in."""
        return begin(at, self.length)


def begin(at: datetime, length: timedelta) -> datetime:
    """The start of the span of that length that a moment is in, counted from the epoch."""
    return at - (at - datetime(1970, 1, 1, tzinfo=UTC)) % length


class UsageSample(models.Model):
    """What a container, or a node with all that runs on it, used in the span that begins `at`.

    Averages over the `minutes` of the span in which it ran and was measured: `cpu` in cores
    (1.0 is one core, busy all the time), `received` and `sent` in bytes per second.
    `disk_bytes` is None where its node cannot tell. A span in which it was not measured has
    no row.
    """

    container = models.ForeignKey(
        "containers.Container",
        on_delete=models.CASCADE,
        null=True,
        related_name="usage",
        db_index=False,
    )
    node = models.ForeignKey(
        "containers.Node", on_delete=models.CASCADE, null=True, related_name="usage", db_index=False
    )
    span = models.CharField(max_length=6, choices=Span)
    at = models.DateTimeField()
    minutes = models.PositiveIntegerField(default=1)
    cpu = models.FloatField()
    memory_bytes = models.BigIntegerField()
    disk_bytes = models.BigIntegerField(null=True)
    received = models.FloatField()
    sent = models.FloatField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(container=None) ^ models.Q(node=None),
                name="usage_of_a_container_or_of_a_node",
            ),
            # These two are also what a chart reads: one series in its order.
            models.UniqueConstraint(
                fields=["container", "span", "at"], name="usage_of_a_container_once"
            ),
            models.UniqueConstraint(fields=["node", "span", "at"], name="usage_of_a_node_once"),
        ]
        indexes = [models.Index(fields=["span", "at"])]

    def __str__(self) -> str:
        return f"{self.container or self.node}, {self.span} of {self.at}"
