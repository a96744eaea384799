"""What was measured of the demo's containers and nodes while they ran, as their history says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

from containers.connect import spec_of
from containers.drivers import Usage
from containers.drivers.simulated.usage import node_usage, usage_of
from containers.models import Container, Span
from containers.models.usage import begin
from containers.statuses import Status
from containers.usage import Rates, rates, sample_of, total, write

# The spans that samples have, how far back they go, and how far apart they are. The watcher sums up
# older ones, as ever.
MEASURED = [
    (Span.MINUTE, timedelta(days=1), timedelta(minutes=5)),
    (Span.HOUR, timedelta(days=31), timedelta(hours=1)),
]


def measure(now: datetime) -> None:
    """Write the samples up to `now`. The history of every container must be written."""
    samples = []
    together: dict[tuple[int, Span, datetime], list[tuple[Usage, Rates]]] = defaultdict(list)
    for container in Container.objects.all():
        for span, at, usage, used in _measured(container, now):
            samples.append(sample_of(usage, used, at, span=span, container_id=container.pk))
            if container.node_id:
                together[container.node_id, span, at].append((usage, used))
    for (node_id, span, at), parts in together.items():
        usage = node_usage(part for part, _ in parts)
        used = total(part for _, part in parts)
        samples.append(sample_of(usage, used, at, span=span, node_id=node_id))
    write(samples)


def _measured(container: Container, now: datetime) -> Iterator[tuple[Span, datetime, Usage, Rates]]:
    spec = spec_of(container)
    for began, ended in _runs(container, now):
        for span, back, apart in MEASURED:
            at = begin(max(began, now - back), apart) + apart
            while at + span.length <= ended:
                before, after = (
                    usage_of(spec, began.timestamp(), moment.timestamp())
                    for moment in (at, at + span.length)
                )
                if used := rates(before, after, span.length.total_seconds()):
                    yield span, at, after, used
                at += apart


def _runs(container: Container, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """From when to when it ran, each time."""
    changes = list(container.changes.order_by("at"))
    ends = [change.at for change in changes[1:]] + [now]
    for change, end in zip(changes, ends, strict=True):
        if change.to_status == Status.RUNNING:
            yield change.at, end
