"""What gateways have reported, counted by what came of it."""

from __future__ import annotations

from django.db import models


class NoticeCount(models.Model):
    class Outcome(models.TextChoices):
        ACCEPTED = "accepted", "accepted"
        DUPLICATE = "duplicate", "duplicate"
        REFUSED = "refused", "refused"

    outcome = models.CharField(max_length=10, choices=Outcome, primary_key=True)
    count = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.outcome}: {self.count}"
