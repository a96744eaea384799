"""The safety net: work whose wake-up was lost or whose worker died is taken up again."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db.models import F, Q
from django.utils import timezone

from containers.models import Container, Operation
from containers.operations.asking import NotAllowed, request
from containers.operations.carrying import carry_out_soon
from containers.placement import NoRoomAnywhere
from containers.statuses import Status

logger = logging.getLogger(__name__)

# A wake-up that nobody has answered for this long is taken for lost.
LOST_AFTER = timedelta(seconds=15)


def sweep() -> None:
    """Wake the worker for every Operation that waits for nobody, and try again what waits to
    be created. Cheap where there is nothing to do; any number of sweeps may run at once."""
    now = timezone.now()
    free = Q(held_until=None) | Q(held_until__lt=now)
    unanswered = (
        Q(woken_at__lt=F("held_until"))  # its worker died
        | Q(woken_at__lt=F("not_before"))  # let go of, to be tried again now
        | Q(woken_at__lt=now - LOST_AFTER)
    )
    asleep = (
        Operation.objects.open()
        .filter(free, unanswered, not_before__lte=now)
        .exclude(container__status=Status.OFFLINE)
    )
    for operation_id in list(asleep.order_by("pk").values_list("pk", flat=True)):
        Operation.objects.filter(pk=operation_id).update(woken_at=now)
        carry_out_soon(operation_id)

    due = Container.objects.filter(
        status=Status.ORDERED, withdrawn_at=None, create_again_at__lte=now
    )
    for container_id in list(due.order_by("create_again_at").values_list("pk", flat=True)):
        try:
            request(container_id, "create", by=None, because="tried again")
        except (NoRoomAnywhere, NotAllowed) as reason:
            logger.debug("container %s: %s", container_id, reason.sentence)
