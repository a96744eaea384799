"""Counts that only grow, kept so that nobody has to count years of rows again."""

from __future__ import annotations

from django.db import models


class Tally(models.Model):
    """What was counted of one kind of rows, up to the time `until`. Time and counts are in one row,
    so that they are always read together."""

    name = models.CharField(max_length=20, primary_key=True)
    until = models.DateTimeField(null=True)
    counts = models.JSONField(default=list)

    class Meta:
        verbose_name_plural = "tallies"

    def __str__(self) -> str:
        return self.name
