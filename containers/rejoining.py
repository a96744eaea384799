"""What a database that has gone back in time may still do: ask nodes, and nothing else, until it
has seen what became of them meanwhile."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import F, Max
from django.utils import timezone

from containers.models import Container, Operation
from containers.models.stray import reserve
from containers.operations.carrying import ATTEMPTS

# More containers than were ordered between the back-up and now: their ids are on the nodes, and
# a new customer's must not be taken for one of them.
LEAP = 100_000
# Time for every node to be asked first, before anything is created.
PAUSE = timedelta(minutes=5)


def rejoin() -> None:
    """Make a restored database safe. Call it before any worker or watcher runs on it.

    Work that was open then is not done again: its node is asked what became of it, and where
    it was not done, it counts as failed. New containers get ids that were never given out.
    """
    now = timezone.now()
    Operation.objects.open().update(
        attempts=ATTEMPTS, started_at=now, held_by="", held_until=None, not_before=now, woken_at=now
    )
    Container.objects.filter(create_again_at__isnull=False).update(
        create_again_at=now + PAUSE, revision=F("revision") + 1
    )
    reserve((Container.objects.aggregate(last=Max("pk"))["last"] or 0) + LEAP)
