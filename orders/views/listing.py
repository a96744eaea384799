"""The list of orders: by status, searched, paged, polled by a digest of what was seen."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from containers.counting import FAR_ENOUGH, Count, counts_among, counts_by_status, total
from containers.models import Operation
from containers.paging import Pages, links
from containers.search import few_or_many
from containers.views.polling import digest, poll_seconds
from orders.models import Order
from orders.models.order import OrderQuerySet
from orders.search import looked_up, matching
from panel.http import Request


@require_safe
def orders(request: Request) -> HttpResponse:
    text = request.GET.get("q", "").replace("\0", "").strip()
    own = not request.user.sees_everything
    found, counts = _found(Order.objects.visible_to(request.user), text, own=own)
    status = request.GET.get("status", "")
    listed = found.filter(status=status) if status in counts else found
    count = counts[status] if status in counts else total(counts)
    page = Pages.of(listed, count).get_page(request.GET.get("page"))
    rows = page.found.select_related("customer", "container")
    page.found = rows.prefetch_related(under_way())
    seen = digest([(row.pk, row.status, row.container.revision) for row in page], counts)
    if request.htmx and request.GET.get("seen") == seen:
        return HttpResponse(status=204)

    context = {
        "section": "orders",
        "page_obj": page,
        "chips": [(choice, counts[choice.value]) for choice in Order.Status],
        "total": total(counts),
        "status": status,
        "q": text,
        **links(request, page),
        "seen": seen,
        "poll_seconds": poll_seconds(any(row.container.is_transient for row in page)),
    }
    return render(request, "orders/_list.html" if request.htmx else "orders/list.html", context)


def under_way() -> Prefetch[Any]:
    """With what is being done on the containers of orders, whose status is shown."""
    return Prefetch(
        "container__operations", queryset=Operation.objects.open(), to_attr="open_operations"
    )


def _found(
    visible: OrderQuerySet, text: str, *, own: bool
) -> tuple[QuerySet[Order], dict[str, Count]]:
    """Those that the text finds, and how many are in each status."""
    if not text:
        return visible, counts_by_status(visible, Order.Status.values)
    look_up = partial(looked_up, of_few=own)
    few = look_up(visible, text, FAR_ENOUGH + 1).values_list("pk", "status")
    first = list(few[: FAR_ENOUGH + 1])
    counts = counts_among([status for _, status in first], Order.Status.values)
    if len(first) > FAR_ENOUGH:
        return few_or_many(visible, text, look_up, matching), counts
    return visible.filter(pk__in=[key for key, _ in first]), counts
