"""The safety net: work whose wake-up was lost or whose worker died is taken up again."""

from __future__ import annotations

import logging
from datetime import timedelta
from itertools import takewhile

from django.conf import settings
from django.db.models import F, Q, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from containers import rejoining
from containers.models import Container, Operation
from containers.models.clocks import has_come
from containers.operations.asking import NotAllowed, request
from containers.operations.carrying import enqueue
from containers.operations.claiming import busy_nodes
from containers.placement import NoNodeFits
from containers.statuses import Status

logger = logging.getLogger(__name__)

# A wake-up that nobody has answered for this long is taken for lost.
LOST_AFTER = timedelta(seconds=15)
# The most that one sweep wakes, and the most creations that it tries again: the next sweep goes
# on, and what has waited longest comes first.
AT_ONCE = 200


def sweep() -> None:
    """Wake a worker for every Operation that is due, and that no worker holds or was just called
    for; and try again the creations that are due. Cheap where there is nothing to do; any number
    of sweeps may run at once."""
    _wake_what_sleeps()
    _create_what_waits()


def _wake_what_sleeps() -> None:
    """Of each node it wakes no more than the node may have in hand, and none where it is full: a
    node with thousands of operations waiting does not crowd out the others."""
    now = timezone.now()
    unanswered = (
        Q(woken_at__lt=F("held_until"))  # its worker died
        | Q(woken_at__lt=F("not_before"))  # let go of, to be tried again now
        | has_come("woken_at", now - LOST_AFTER, LOST_AFTER)
    )
    in_turn = Window(RowNumber(), partition_by="node", order_by=["woken_at", "pk"])
    asleep = (
        Operation.objects.open()
        .free(now)
        .due(now)
        .filter(unanswered)
        .exclude(container__status=Status.OFFLINE)
        .exclude(node__in=busy_nodes(now))
        .annotate(turn=in_turn)
        .filter(turn__lte=settings.NODE_CONCURRENCY)
        .order_by("woken_at", "pk")
    )
    called = list(takewhile(enqueue, asleep.values_list("pk", flat=True)[:AT_ONCE]))
    if called:
        Operation.objects.filter(pk__in=called).update(woken_at=now)


def _create_what_waits() -> None:
    pauses = (*settings.CREATE_PAUSES, settings.ROOM_PAUSE, rejoining.PAUSE.total_seconds())
    time_has_come = has_come("create_again_at", timezone.now(), timedelta(seconds=max(pauses)))
    # The condition of the partial index, spelled out: SQLite does not infer it.
    waiting = Container.objects.filter(create_again_at__isnull=False)
    due = waiting.filter(time_has_come).order_by("create_again_at", "pk")
    for container_id in list(due.values_list("pk", flat=True)[:AT_ONCE]):
        try:
            request(container_id, "create", by=None, because="tried again")
        except (NoNodeFits, NotAllowed) as reason:
            logger.debug("container %s: %s", container_id, reason.sentence)
