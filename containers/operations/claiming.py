"""Claiming an Operation: of any number of workers one gets it, and holds it for a lease."""

from __future__ import annotations

import os
import socket
import threading
from datetime import datetime
from functools import cache
from secrets import token_hex
from typing import Any

from django.conf import settings
from django.db import connections, router
from django.db.models import Count, QuerySet
from django.utils import timezone

from containers.models import Container, Node, Operation
from containers.models.clocks import latest_plausible
from containers.models.operation import LONGEST_PAUSE
from containers.operations.outcomes import LeaseLost
from containers.statuses import Status
from panel.compiled import ModelReader

# Written by hand: to compile them from querysets each time takes longer than the claim itself.
_OPERATION, _CONTAINER_AND_NODE = ModelReader(Operation), ModelReader(Container, Node)
_CLAIM = f"""
    UPDATE containers_operation SET
        held_by = %(holder)s,
        held_until = %(until)s,
        attempts = attempts + 1,
        started_at = CASE
            WHEN started_at <= %(latest)s THEN started_at ELSE %(now)s
        END
    WHERE id = %(id)s AND outcome = ''
        AND (not_before <= %(now)s OR not_before > %(latest_pause)s)
        AND (held_until IS NULL OR held_until < %(now)s OR held_until > %(latest_lease)s)
        AND NOT EXISTS (
            SELECT 1 FROM containers_container
            WHERE containers_container.id = container_id AND status = %(offline)s
        )
        AND %(hands)s > (
            SELECT COUNT(*) FROM containers_operation AS other
            WHERE other.node_id = containers_operation.node_id
                AND other.outcome = ''
                AND other.held_until > %(now)s AND other.held_until <= %(latest_lease)s
        )
    RETURNING {_OPERATION.columns}
"""  # noqa: S608  # columns are names of fields
_READ = f"""
    SELECT {_CONTAINER_AND_NODE.columns} FROM containers_container
    JOIN containers_node ON containers_node.id = containers_container.node_id
    WHERE containers_container.id = %s
"""  # noqa: S608  # columns are names of fields


def claim(operation_id: int) -> Operation | None:
    """Take the Operation for this thread, for one lease, and count an attempt. None where another
    worker holds it or it has ended, it is not due, or its node is off-line or has as many in hand
    as it may. Its deadline is counted from its first claim, however long it had to wait before."""
    now = timezone.now()
    ops = connections[router.db_for_write(Operation)].ops
    times = {
        "now": now,
        "until": now + settings.LEASE,
        "latest": latest_plausible(now),
        "latest_pause": latest_plausible(now, LONGEST_PAUSE),
        "latest_lease": latest_plausible(now, settings.LEASE),
    }
    params = {name: ops.adapt_datetimefield_value(at) for name, at in times.items()} | {
        "id": operation_id,
        "holder": f"{_host()}:{os.getpid()}:{threading.get_ident()}:{token_hex(4)}",
        "offline": Status.OFFLINE.value,
        "hands": settings.NODE_CONCURRENCY,
    }
    claimed = _OPERATION.read(_CLAIM, params)
    if not claimed:
        return None
    operation: Operation = claimed[0][0]
    assert operation.started_at is not None
    operation.deadline_at = operation.started_at + Container.deadline_of(operation.kind)
    [(container, node)] = _CONTAINER_AND_NODE.read(_READ, [operation.container_id])
    operation.container, container.node = container, node
    return operation


def renew(operation: Operation, **shown: object) -> None:
    """Hold a claimed Operation for another lease, and save its `deadline_at`, its `halting_seconds`
    and the columns `shown`, by which pages show it. Raises LeaseLost."""
    until = timezone.now() + settings.LEASE
    written = {
        "held_until": until,
        "deadline_at": operation.deadline_at,
        "halting_seconds": operation.halting_seconds,
        **shown,
    }
    if not Operation.objects.held_as(operation).update(**written):
        raise LeaseLost
    operation.held_until = until


def renew_if_due(operation: Operation) -> None:
    """Hold it for another lease, unless nearly all of this one is left. To be called before each
    question to a node, which may last until its time-out. Raises LeaseLost."""
    assert operation.held_until is not None
    left = operation.held_until - timezone.now()
    if not settings.LEASE * 0.9 <= left <= settings.LEASE:
        renew(operation)


def busy_nodes(now: datetime) -> QuerySet[Operation, Any]:
    """The keys of the nodes that have as many Operations in hand as they may."""
    in_hand = Operation.objects.open().held(now).order_by()
    busy = in_hand.values("node").annotate(count=Count("pk"))
    return busy.filter(count__gte=settings.NODE_CONCURRENCY).values("node")


@cache
def _host() -> str:
    return socket.gethostname()[:32]
