"""When a process without a page of its own last gave a sign of life."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.utils import timezone

WATCHER = "watcher"


class BeatManager(models.Manager["Beat"]):
    def sign(self, name: str) -> None:
        """Write down that this process lives, in one small statement."""
        now = timezone.now()
        if not self.filter(pk=name).update(at=now):
            self.bulk_create([Beat(name=name, at=now)], ignore_conflicts=True)

    def last_sign(self, name: str) -> datetime | None:
        """When this process last gave a sign of life; None where it never did."""
        return self.filter(pk=name).values_list("at", flat=True).first()


class Beat(models.Model):
    name = models.CharField(max_length=20, primary_key=True)
    at = models.DateTimeField()

    objects: ClassVar[BeatManager] = BeatManager()

    def __str__(self) -> str:
        return self.name
