"""The dashboard of each kind of person, and the health check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from django_fsm import can_proceed
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from containers.counting import Count, counts_by_status, how_many
from containers.differences import counts_on
from containers.models import Container, Node, Operation, StatusChange
from containers.room import with_room
from containers.statuses import LINED_UP, TRANSIENT, Status
from containers.views.polling import digest, poll_seconds
from containers.views.rows import as_shown
from orders.models import Order, Payment
from panel import health
from panel.http import Request
from panel.metrics import REGISTRY

# Rows of each list on the dashboard; the whole list is a click away.
FEW = 8
# How many of the newest failures are looked at.
LATELY = 100


@require_safe
def dashboard(request: Request) -> HttpResponse:
    everything = request.user.sees_everything
    context = _for_running_it(request) if everything else _for_a_customer(request)
    page = "panel/_everything.html" if everything else "panel/_mine.html"
    seen = digest({key: _fingerprint(value) for key, value in context.items()})
    if request.htmx and request.GET.get("seen") == seen:
        return HttpResponse(status=204)
    context |= {"part": page, "seen": seen, "section": "dashboard"}
    return render(
        request, "panel/_dashboard.html" if request.htmx else "panel/dashboard.html", context
    )


def _for_a_customer(request: Request) -> dict[str, Any]:
    mine = Container.objects.visible_to(request.user)
    rows = list(as_shown(mine.living().order_by("-status_since"))[:FEW])
    orders = Order.objects.visible_to(request.user).select_related("container")
    unpaid = [
        order for order in orders.filter(status=Order.Status.UNPAID) if can_proceed(order.pay)
    ]
    return {
        "rows": rows,
        "counts": _shown_counts(mine),
        "unpaid": unpaid[:FEW],
        "more_unpaid": len(unpaid) > FEW,
        "orders": list(orders[:FEW]),
        "poll_seconds": poll_seconds(any(row.is_transient for row in rows)),
    }


def _for_running_it(request: Request) -> dict[str, Any]:
    visible = Container.objects.visible_to(request.user)
    counts = _shown_counts(visible)
    work = Operation.objects.visible_to(request.user)
    late = work.open().filter(Q(deadline_at__lt=timezone.now()) | Q(attempts__gt=3))
    waiting = visible.filter(status=Status.ORDERED, create_again_at__isnull=False)
    orders = Order.objects.visible_to(request.user).select_related("container", "customer")
    owed = Payment.objects.to_be_given_back()
    nodes = Node.objects.visible_to(request.user)
    differing = counts_on(nodes)
    return {
        "counts": counts,
        "differing": [
            (node.name, node.get_absolute_url(), differing[node.pk])
            for node in nodes.filter(pk__in=differing)[:FEW]
        ],
        "nodes": with_room(nodes.order_by("online", "name")[:FEW]),
        "node_count": nodes.count(),
        "failed": _failed_lately(work),
        "late": list(late.select_related("container__customer", "container__node")[:FEW]),
        "waiting": list(waiting.select_related("customer", "order")[:FEW]),
        "paid_not_created": list(orders.paid_not_created()[:FEW]),
        "owing": list(orders.filter(pk__in=owed.values("order"))[:FEW]),
        "unpaid": how_many(orders.filter(status=Order.Status.UNPAID)),
        "changes": list(
            StatusChange.objects.visible_to(request.user).select_related(
                "container", "by", "operation"
            )[:FEW]
        ),
        "poll_seconds": poll_seconds(
            any(status in TRANSIENT and count for status, count in counts)
        ),
    }


def _failed_lately(work: QuerySet[Operation]) -> list[tuple[Operation, int]]:
    """The last failure of each kind of work on each container, with their number: a creation is
    tried again by itself."""
    failed = work.filter(outcome=Operation.Outcome.FAILED).order_by("-ended_at")
    tries: dict[tuple[int, str], list[int]] = {}
    for pk, container, kind in failed.values_list("pk", "container", "kind")[:LATELY]:
        tries.setdefault((container, kind), []).append(pk)
    last = {keys[0]: len(keys) for keys in list(tries.values())[:FEW]}
    rows = failed.filter(pk__in=last).select_related("container__customer")
    return [(operation, last[operation.pk]) for operation in rows]


def _shown_counts(found: Any) -> list[tuple[Status, Count]]:
    """How many there are in each status, without the transient ones in which there is none."""
    counts = counts_by_status(found, Status.values)
    return [(each, counts[each]) for each in LINED_UP if counts[each] or each not in TRANSIENT]


def _fingerprint(value: object) -> object:
    """The part of a value that is different whenever the page would show something else for it."""
    if isinstance(value, list | tuple):
        return [_fingerprint(item) for item in value]
    if isinstance(value, Node):
        return value.pk, value.online, value.in_service, value.memory_left
    if isinstance(value, Container):
        return value.pk, value.revision, value.is_overdue()
    if isinstance(value, Order):
        return value.pk, value.status, value.container.revision
    if isinstance(value, Operation):
        return value.pk, value.attempts, value.error_detail, value.waits_for_node
    return getattr(value, "pk", value)


@login_not_required
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the panel can answer and its database does."""
    return _health(health.database)


@login_not_required
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """200 while this process answers: one that does not wants to be started anew."""
    return _health()


@login_not_required
@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """200 while everything is there that the panel needs to do what it is asked; 503 says
    which part is not."""
    return _health(*health.PARTS)


def _health(*parts: Callable[[], str]) -> HttpResponse:
    told = health.parts(*parts)
    return JsonResponse(told, status=503 if set(told.values()) - {health.OK} else 200)


@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus, if it brings the token of the settings."""
    if not settings.METRICS_TOKEN:
        raise Http404
    given = request.headers.get("Authorization", "")
    if not constant_time_compare(given, f"Bearer {settings.METRICS_TOKEN}"):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_PLAIN_0_0_4)
