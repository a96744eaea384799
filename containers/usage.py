"""What containers and nodes use: measured every minute, and kept the coarser the older it is.

Any number of watchers may do this at once, and be killed at any moment: a row is written once, by
the first of them, and what is missing is made up for in the next minute.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import NamedTuple

from django.conf import settings
from django.db.models import Exists, F, FloatField, Max, Min, OuterRef, Q, QuerySet, Sum
from django.db.models.expressions import Combinable
from django.utils import timezone

from containers.connect import connect
from containers.drivers import DriverError, Usage
from containers.models import Container, Node, Span, Stray, UsageSample
from containers.statuses import NOWHERE

logger = logging.getLogger(__name__)

# Rows that one statement writes or deletes, so that nobody else waits long for the database.
BATCH = 500
# An older reading says too little about the minute that has just passed.
STALE = timedelta(minutes=3)
# More bytes than any node holds. Fewer in every minute of a day still fit into a sum of 64 bits.
TOO_MUCH = 2**52
# The columns of which a coarser sample has the average.
AVERAGED = ("cpu", "memory_bytes", "disk_bytes", "received", "sent")
# How long after its end an hour or a day may still get samples.
LATE = timedelta(minutes=2)


@dataclass(frozen=True)
class Reading:
    """What a node said at one moment: how much each instance that runs on it had used by then, and
    under "" the node itself."""

    at: datetime
    usage: dict[str, Usage]


class Rates(NamedTuple):
    """`cpu` in cores; `received` and `sent` in bytes per second."""

    cpu: float
    received: float
    sent: float


def rates(before: Usage, now: Usage, seconds: float) -> Rates | None:
    """What was used between two readings; None where the node cannot tell. Where the counter of the
    processor went backwards, all counters have begun again at 0 in between."""
    was, counted = _counters(before), _counters(now)
    if was is None or counted is None:
        return None
    if counted.cpu < was.cpu:
        was = Rates(0, 0, 0)
    # Only a counter of the network went backwards: a card was taken out, with what it had counted.
    return Rates(*(max(new - old, 0) / seconds for old, new in zip(was, counted, strict=True)))


def _counters(usage: Usage) -> Rates | None:
    cpu, received, sent = usage.cpu_seconds, usage.received_bytes, usage.sent_bytes
    if cpu is None or received is None or sent is None:
        return None
    return Rates(cpu, received, sent)


def total(parts: Iterable[Rates]) -> Rates:
    """What all of them use together."""
    return Rates(*map(sum, zip(Rates(0, 0, 0), *parts, strict=True)))


class Sampler:
    """Measures what is used. It remembers the last reading of each node: the first one alone
    says nothing about rates, and writes nothing."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=256, thread_name_prefix="usage")
        self._pending: dict[Future[Reading | None], Node] = {}
        self._last: dict[int, Reading] = {}

    def sample(self) -> None:
        """Ask every on-line node, and write down what has come by the time-out of one answer.
        What comes later is written by the next call; until then that node is not asked."""
        owing = {node.pk for node in self._pending.values()}
        for node in Node.objects.filter(online=True).exclude(pk__in=owing):
            self._pending[self._pool.submit(_read, node)] = node
        done, _ = wait(self._pending, timeout=settings.NODE_TIMEOUT)
        passed: dict[int, tuple[Reading, Reading]] = {}
        for future in done:
            node = self._pending.pop(future)
            if now := future.result():
                if before := self._last.get(node.pk):
                    passed[node.pk] = before, now
                self._last[node.pk] = now
        here: dict[int, set[int]] = {node_id: set() for node_id in passed}
        # An instance with the name of a container that is missing is another one.
        known = Container.objects.filter(node__in=here, missing=False).exclude(status__in=NOWHERE)
        for node_id, pk in known.values_list("node_id", "pk"):
            here[node_id].add(pk)
        write(
            sample
            for node_id, (before, now) in passed.items()
            for sample in _samples(node_id, before, now, here[node_id])
        )


def _read(node: Node) -> Reading | None:
    """Ask one node. Never raises; reads and writes no row."""
    at = timezone.now()
    try:
        told = connect(node).usage()
        if all(map(_can_be_stored, told.values())):
            return Reading(at, told)
        logger.warning("node %s says that more is used than can be", node.name)
    except DriverError as error:
        logger.info("node %s does not say what is used: %s", node.name, error.detail)
    except Exception:
        logger.exception("node %s", node.name)
    return None


def _can_be_stored(told: Usage) -> bool:
    """Whether its numbers fit the database. The samples of all nodes are written together: one that
    is too large would lose those of the others."""
    counted = told.cpu_seconds, told.received_bytes, told.sent_bytes
    held = told.memory_bytes, told.disk_bytes
    return all(isfinite(n or 0) for n in counted) and all(abs(n or 0) < TOO_MUCH for n in held)


def _samples(
    node_id: int, before: Reading, now: Reading, containers: set[int]
) -> Iterator[UsageSample]:
    """What ran on a node in the minute that has just passed, and the node itself. A container that
    began to run in it has only one reading: it comes in the next."""
    passed = now.at - before.at
    if not timedelta(0) < passed <= STALE:
        return
    at = Span.MINUTE.begin(now.at - Span.MINUTE.length / 2)
    measured = {
        name: used
        for name in before.usage.keys() & now.usage.keys()
        if (used := rates(before.usage[name], now.usage[name], passed.total_seconds()))
    }
    node = measured.pop("", None) or total(measured.values())
    for name, used in measured.items():
        if (pk := Stray.number_of(name)) in containers:
            yield sample_of(now.usage[name], used, at, container_id=pk)
    yield sample_of(now.usage[""], node, at, node_id=node_id)


def sample_of(
    usage: Usage,
    used: Rates,
    at: datetime,
    *,
    span: Span = Span.MINUTE,
    container_id: int | None = None,
    node_id: int | None = None,
) -> UsageSample:
    """A row of a container or of a node that was measured all through the span, not saved yet."""
    return UsageSample(
        container_id=container_id,
        node_id=node_id,
        span=span,
        at=at,
        minutes=span.length // Span.MINUTE.length,
        memory_bytes=usage.memory_bytes,
        disk_bytes=usage.disk_bytes,
        **used._asdict(),
    )


def write(samples: Iterable[UsageSample]) -> None:
    """Keep samples; of a subject and span that has one already, the old one stays."""
    # In one order, so that two who write the same rows do not wait for each other.
    rows = sorted(samples, key=lambda row: (row.at, row.container_id or 0, row.node_id or 0))
    for start in range(0, len(rows), BATCH):
        UsageSample.objects.bulk_create(rows[start : start + BATCH], ignore_conflicts=True)


def thin() -> None:
    """Sum minutes up into hours and hours into days, as soon as these are over, and delete
    what is older than it is kept. Can be repeated at any time, and changes nothing then."""
    now = timezone.now()
    _sum_up(Span.MINUTE, Span.HOUR, Span.HOUR.begin(now - LATE))
    _sum_up(Span.HOUR, Span.DAY, Span.DAY.begin(now - LATE))
    for span in Span:
        old = UsageSample.objects.filter(span=span, at__lt=now - span.kept).order_by("at")
        while batch := list(old.values_list("pk", flat=True)[:BATCH]):
            UsageSample.objects.filter(pk__in=batch).delete()


def _sum_up(fine: Span, coarse: Span, until: datetime) -> None:
    """Make every row of a `coarse` span before `until` that is missing."""
    rows = UsageSample.objects.filter(span=fine, at__lt=until)
    # They are made oldest first: of those that are there, only the newest may be incomplete.
    # Those of a clock that was ahead are none of them.
    made = UsageSample.objects.filter(span=coarse, at__lt=until)
    newest = made.aggregate(at=Max("at"))["at"]
    if newest:
        rows = rows.filter(at__gte=newest)
    while first := rows.aggregate(at=Min("at"))["at"]:
        begin = coarse.begin(first)
        end = begin + coarse.length
        within = UsageSample.objects.filter(span=fine, at__gte=begin, at__lt=end)
        for subject, model in (("container", Container), ("node", Node)):
            _average(within, coarse, begin, subject, model)
        rows = rows.filter(at__gte=end)


def _average(
    within: QuerySet[UsageSample],
    coarse: Span,
    begin: datetime,
    subject: str,
    model: type[Container | Node],
) -> None:
    """One row for each container, or for each node, that has samples `within` and no such
    row yet."""
    its = Q(**{subject: OuterRef("pk")})
    done = UsageSample.objects.filter(its, span=coarse, at=begin)
    missing = model._default_manager.filter(Exists(within.filter(its)), ~Exists(done))
    ids = list(missing.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(ids), BATCH):
        means = {f"mean_{name}": _mean(name) for name in AVERAGED}
        averages = (
            within.filter(**{f"{subject}__in": ids[start : start + BATCH]})
            .order_by()
            .values_list(f"{subject}_id")
            .annotate(measured=Sum("minutes"), **means)
        )
        write(
            UsageSample(
                span=coarse,
                at=begin,
                minutes=minutes,
                cpu=cpu,
                memory_bytes=round(memory),
                disk_bytes=None if disk is None else round(disk),
                received=received,
                sent=sent,
                **{f"{subject}_id": key},
            )
            for key, minutes, cpu, memory, disk, received, sent in averages
        )


def _mean(name: str) -> Combinable:
    """The average, each sample weighing as many minutes as it stands for; those without a
    value weigh nothing."""
    weighed = Sum(F(name) * F("minutes"), output_field=FloatField())
    return weighed / Sum("minutes", filter=Q(**{f"{name}__isnull": False}))
