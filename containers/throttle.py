"""How much one customer may ask for within a minute, counted from the record of what was asked."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import timezone

from containers.models import FileChange, Operation

if TYPE_CHECKING:
    from panel.models import User

TOO_FAST = "You have asked for a great deal within a minute. Wait a moment, then try again."


def is_too_fast(person: User) -> bool:
    """Whether this person has to wait before anything more is taken on: never an administrator,
    and nobody where the settings know no limit."""
    if not settings.ASKED_A_MINUTE or person.administers:
        return False
    since = timezone.now() - timedelta(minutes=1)
    asked = Operation.objects.filter(asked_by=person, asked_at__gt=since).count()
    asked += FileChange.objects.filter(by=person, at__gt=since).count()
    return asked >= settings.ASKED_A_MINUTE
