"""What Prometheus is told: read from the database when it asks, the same from every process."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from math import inf

from django.db.models import Count, Min, Q
from django.utils import timezone
from huey.contrib.djhuey import HUEY
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from containers import tally
from containers.models import Beat, Container, Node, Operation
from containers.models.beat import WATCHER
from containers.operations.claiming import busy_nodes
from containers.statuses import TRANSIENT, Status
from orders.models import NoticeCount, Order, Payment

logger = logging.getLogger(__name__)


class Panel(Collector):
    """A constant number of statements. None reads what has ended long ago; how many containers
    are in each status is read from an index."""

    def collect(self) -> Iterator[Metric]:
        yield from _containers()
        yield from _work()
        yield _ended()
        yield from _nodes()
        yield from _money()
        heard = Beat.objects.last_sign(WATCHER)
        yield _gauge(
            "watcher_silent_seconds",
            "Since the watcher last gave a sign of life, each 10 s; +Inf where it never did.",
            _ago(heard) if heard else inf,
        )


_ENDS = (Operation.Outcome.DONE.value, Operation.Outcome.FAILED.value)
_QUEUE_UP = "1 while the queue can be reached."
REGISTRY = CollectorRegistry()
REGISTRY.register(Panel())


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"berth_{name}", text, value=value)


def _gauges(
    name: str, text: str, label: str, values: Iterable[tuple[str, float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"berth_{name}", text, labels=[label])
    for key, value in values:
        family.add_metric([key], value)
    return family


def _ago(moment: datetime | None) -> float:
    """Seconds since then; 0 for what has not happened."""
    return max((timezone.now() - moment).total_seconds(), 0) if moment else 0


def _containers() -> Iterator[Metric]:
    kept = Container.objects.filter(withdrawn_at=None).order_by()
    counts = dict(kept.values_list("status").annotate(Count("pk")))
    yield _gauges(
        "containers",
        "Containers in each status.",
        "status",
        ((status.value, counts.get(status.value, 0)) for status in Status),
    )
    moving = Container.objects.filter(status__in=TRANSIENT)
    yield _gauge(
        "oldest_transient_seconds",
        "How long the container that has been longest in a transient status is in it; 0 if none.",
        _ago(moving.aggregate(since=Min("status_since"))["since"]),
    )


def _work() -> Iterator[Metric]:
    now = timezone.now()
    held = Q(held_until__gt=now)
    due = ~held & Q(not_before__lte=now) & Q(container__node__online=True)
    due &= ~Q(node__in=busy_nodes(now))
    work = (
        Operation.objects.open()
        .order_by()
        .aggregate(
            held=Count("pk", filter=held), all=Count("pk"), due=Min("not_before", filter=due)
        )
    )
    yield _gauges(
        "operations_open",
        "Operations that workers carry out now, and those that wait to be.",
        "state",
        [("held", work["held"]), ("waiting", work["all"] - work["held"])],
    )
    yield _gauge(
        "operation_due_seconds",
        "How long the operation that waits longest for a worker could have been taken up; 0 if "
        "none. One whose node is off-line, or has its hands full, does not wait for a worker.",
        _ago(work["due"]),
    )
    yield from _queue()


def _queue() -> Iterator[Metric]:
    try:
        yield _gauge("queue_length", "Wake-ups in the queue.", HUEY.pending_count())
    except Exception as error:
        # The other metrics are needed all the more.
        logger.error("queue: %r", error)
        yield _gauge("queue_up", _QUEUE_UP, 0)
    else:
        yield _gauge("queue_up", _QUEUE_UP, 1)


def _ended() -> Metric:
    family = HistogramMetricFamily(
        "berth_operation_seconds",
        "From asking to the end, waiting included, of all operations that have ended.",
        labels=["kind", "outcome"],
    )
    # Each from the beginning: Prometheus takes the first number of a series for no increase.
    none = {(kind, outcome): Counter[str]() for kind in Container.kinds() for outcome in _ENDS}
    for (kind, outcome), counted in sorted((none | tally.operations_ended()).items()):
        bounds = [(f"{bound:.1f}", counted[str(bound)]) for bound in tally.BOUNDS]
        family.add_metric(
            [kind, outcome], [*bounds, ("+Inf", counted["count"])], sum_value=counted["seconds"]
        )
    return family


def _nodes() -> Iterator[Metric]:
    nodes = list(Node.objects.only("name", "online", "in_service", "latency_ms"))
    yield _gauges("node_up", "1 while a node answers.", "node", ((n.name, n.online) for n in nodes))
    yield _gauges(
        "node_in_service",
        "1 while a node takes new containers.",
        "node",
        ((n.name, n.in_service) for n in nodes),
    )
    living = Container.objects.living().order_by().values_list("node")
    counts = dict(living.annotate(Count("pk")))
    yield _gauges(
        "node_containers",
        "Containers that live on a node.",
        "node",
        ((n.name, counts.get(n.pk, 0)) for n in nodes),
    )
    yield _gauges(
        "node_latency_seconds",
        "About how long a node that answers takes to say what it has; follows when it is half as "
        "much again, or half.",
        "node",
        ((n.name, n.latency_ms / 1000) for n in nodes if n.online and n.latency_ms is not None),
    )


def _money() -> Iterator[Metric]:
    counted = dict(NoticeCount.objects.values_list("outcome", "count"))
    notices = CounterMetricFamily(
        "berth_payment_notices",
        "What gateways have reported: news, repetitions, and what was refused.",
        labels=["outcome"],
    )
    for outcome in NoticeCount.Outcome.values:
        notices.add_metric([outcome], counted.get(outcome, 0))
    yield notices
    yield _gauge(
        "orders_paid_not_created",
        "Orders that were paid, and whose creation has been given up.",
        Order.objects.paid_not_created().count(),
    )
    yield _gauge(
        "payments_to_give_back",
        "Payments that have arrived and that no order needs: somebody has to give them back.",
        Payment.objects.to_be_given_back().count(),
    )
