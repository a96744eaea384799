"""How much one customer may ask for within a minute, counted from the record of what was asked."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth import get_user_model
from django.utils import timezone

from containers.models import FileChange, Operation

if TYPE_CHECKING:
    from panel.models import User

TOO_FAST = "You have asked for a great deal within a minute. Wait a moment, then try again."


def lock_if_limited(person: User) -> None:
    """Lock the person's row, so that what they ask for at the same time is counted one after the
    other. To be called in the transaction that counts, before a container is locked."""
    if _is_limited(person):
        get_user_model().objects.lock(person)


def is_too_fast(person: User) -> bool:
    """Whether this person has to wait before anything more is taken on: never an administrator,
    and nobody where the settings know no limit."""
    if not _is_limited(person):
        return False
    since = timezone.now() - timedelta(minutes=1)
    asked = Operation.objects.filter(asked_by=person, asked_at__gt=since).count()
    asked += FileChange.objects.filter(by=person, at__gt=since).count()
    return asked >= settings.ASKED_A_MINUTE


def _is_limited(person: User) -> bool:
    return bool(settings.ASKED_A_MINUTE) and not person.administers
