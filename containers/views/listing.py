"""The list of containers: filtered, sorted, paged, and polled by a digest of what was seen."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, cast

from django.core.paginator import Paginator
from django.db.models import Prefetch, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from containers.digest import digest
from containers.filters import ContainerFilter, counts_by_status
from containers.models import Action, Container, Operation
from containers.statuses import Status
from panel.http import Request

if TYPE_CHECKING:
    from panel.models import User

ROWS_PER_PAGE = 50
# The heads that sort, by the name that the address bears.
COLUMNS = {
    "name": "Container",
    "status": "Status",
    "since": "For",
    "customer": "Customer",
    "plan": "Plan",
    "node": "Node",
    "address": "Address",
}


class CountedPaginator(Paginator):
    """Pages of a list whose length is known already."""

    def __init__(self, found: QuerySet[Container], per_page: int, count: int) -> None:
        super().__init__(found, per_page)
        self._count = count

    @cached_property
    def count(self) -> int:
        return self._count


@require_safe
def containers(request: Request) -> HttpResponse:
    visible = Container.objects.visible_to(request.user)
    narrowed = ContainerFilter(request.GET, queryset=visible, request=request)
    counts = counts_by_status(narrowed.qs)
    status = request.GET.get("status", "")
    if status in counts:
        found, total = narrowed.qs.filter(status=status), counts[status]
    else:
        found = narrowed.qs.exclude(status=Status.DESTROYED)
        total = sum(counts.values()) - counts[Status.DESTROYED]
    # The key decides between equals, so that no row is on two pages or on none.
    found = found.order_by(*found.query.order_by, "-pk")
    page = CountedPaginator(found, ROWS_PER_PAGE, total).get_page(request.GET.get("page"))
    on_page = cast("QuerySet[Container]", page.object_list)

    if request.htmx and request.GET.get("seen") == _seen(on_page, counts):
        return HttpResponse(status=204)

    rows = with_actions(as_shown(on_page), request.user)
    query = request.GET.copy()
    for passing in ("page", "seen"):
        query.pop(passing, None)
    context = {
        "section": "containers",
        "filter": narrowed,
        "chips": [(Status(value), counts[value]) for value in counts],
        "total": sum(counts.values()) - counts[Status.DESTROYED],
        "status": status,
        "customer": _customer(narrowed, rows),
        "sort": request.GET.get("sort", ""),
        "columns": COLUMNS,
        "page_obj": page,
        "rows": rows,
        "query": f"{query.urlencode()}&" if query else "",
        "here": f"{request.path}?{query.urlencode()}&page={page.number}",
        "actions": _offered(rows),
        "seen": _seen(rows, counts),
        "pace": pace(rows),
    }
    template = "containers/_list.html" if request.htmx else "containers/list.html"
    return render(request, template, context)


def _customer(narrowed: ContainerFilter, rows: list[Container]) -> str:
    """Whose containers alone are shown; empty where everybody's are."""
    picked = narrowed.form.cleaned_data.get("customer")
    if not picked:
        return ""
    return str(rows[0].customer) if rows else f"customer {picked}"


def as_shown(found: QuerySet[Container]) -> QuerySet[Container]:
    """With all that a row shows, in a fixed number of queries."""
    under_way = Operation.objects.open().select_related("target")
    return found.select_related("customer", "node", "order").prefetch_related(
        Prefetch("operations", queryset=under_way, to_attr="open_operations")
    )


def with_actions(found: QuerySet[Container], user: User) -> list[Container]:
    """The rows, each with the buttons that this person has on it as `row.actions`."""
    rows = list(found)
    for row in rows:
        row.buttons = row.actions_for(user)  # type: ignore[attr-defined]
    return rows


def pace(rows: Iterable[Container]) -> int:
    """Seconds until a page with these rows asks again."""
    return 2 if any(row.is_transient for row in rows) else 15


def _seen(rows: Iterable[Container], counts: dict[str, int]) -> str:
    return digest([(row.pk, row.revision, row.is_overdue()) for row in rows], counts)


def _offered(rows: list[Container]) -> list[Action]:
    """The buttons of the bulk bar: what at least one row of the page allows."""
    names = {button.name for row in rows for button in row.buttons}  # type: ignore[attr-defined]
    return [action for name, action in Container.actions().items() if name in names]
