"""How many Operations have ended, how, and after how long: never counted twice, never forgotten.

Ending an Operation counts nothing, so no worker waits for that. Once a minute the watcher adds to
the tally what has ended since; each question adds the last minutes to what the tally says.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from django.db.models import Count, DurationField, ExpressionWrapper, F, Q, QuerySet, Sum
from django.utils import timezone

from containers.models import Operation, Tally
from containers.models.clocks import latest_plausible

# Upper bounds of the buckets of the histogram, in seconds. A bound that is added later does not
# count what had ended before.
BOUNDS = (1, 2, 5, 10, 30, 60, 120, 300, 900, 3600)
OPERATIONS = "operations"
# What has ended longer ago is committed by now, if the clocks of machines agree to within this.
LATE = timedelta(minutes=1)

# By kind and outcome: how many ended within each bound, how many in all, and the sum of seconds.
Counts = dict[tuple[str, str], Counter[str]]


def fold() -> None:
    """Add to the tally what has ended by a minute ago. Where several do so at once, or with clocks
    that differ, each is counted once."""
    tally, _ = Tally.objects.get_or_create(pk=OPERATIONS)
    until = timezone.now() - LATE
    unchanged = Tally.objects.filter(pk=OPERATIONS, until=tally.until)
    if tally.until and tally.until > latest_plausible(until):
        tally = Tally()  # written by a clock far ahead: what ended since is not in it, count anew
    elif tally.until and until <= tally.until:
        return  # a watcher whose clock is ahead has counted further
    counts = _add(_kept(tally), _count(_ended_since(tally).filter(ended_at__lte=until)))
    rows = [[kind, outcome, counted] for (kind, outcome), counted in sorted(counts.items())]
    unchanged.update(until=until, counts=rows)


def operations_ended() -> Counts:
    """All that have ever ended."""
    tally = Tally.objects.filter(pk=OPERATIONS).first() or Tally()
    return _add(_kept(tally), _count(_ended_since(tally)))


def _kept(tally: Tally) -> Counts:
    return {(kind, outcome): Counter(counted) for kind, outcome, counted in tally.counts}


def _ended_since(tally: Tally) -> QuerySet[Operation]:
    """Those that the tally has not counted: few, and found by an index."""
    new = Q(ended_at__gt=tally.until) if tally.until else Q(ended_at__isnull=False)
    return Operation.objects.filter(new)


def _count(ended: QuerySet[Operation]) -> Counts:
    duration = ExpressionWrapper(F("ended_at") - F("asked_at"), output_field=DurationField())
    within = {
        f"{bound}": Count("pk", filter=Q(duration__lte=timedelta(seconds=bound)))
        for bound in BOUNDS
    }
    rows = (
        ended.order_by()
        .alias(duration=duration)
        .values_list("kind", "outcome")
        .annotate(count=Count("pk"), seconds=Sum("duration"), **within)
    )
    counted: Counts = {}
    for kind, outcome, count, seconds, *each in rows:
        numbers = dict(zip(within, each, strict=True)) | {"count": count}
        counted[kind, outcome] = Counter(numbers | {"seconds": round(seconds.total_seconds(), 3)})
    return counted


def _add(one: Counts, other: Counts) -> Counts:
    return {key: one.get(key, Counter()) + other.get(key, Counter()) for key in {*one, *other}}
