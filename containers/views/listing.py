"""The list of containers: filtered, sorted, paged, and polled by a digest of what was seen."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from html import escape
from typing import TYPE_CHECKING

from django.db.models import Prefetch, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from containers.filters import choices
from containers.models import Action, Container, Operation
from containers.statuses import Status
from containers.templatetags.spans import since
from containers.views.found import COLUMNS, Found, unchanged
from panel.http import Request

if TYPE_CHECKING:
    from panel.models import User


@require_safe
def containers(request: Request) -> HttpResponse:
    if request.htmx and unchanged(request):
        return HttpResponse(status=204)
    found = Found(request)
    page = found.page()
    page.found = as_listed(page.found)
    rows = as_rows(page, request.user)
    query = request.GET.copy()
    for passing in ("page", "seen"):
        query.pop(passing, None)
    context = {
        "section": "containers",
        "found": found,
        "chips": [(Status(value), count) for value, count in found.counts.items()],
        "customer": _customer(found, rows),
        "columns": _columns(request.user),
        "page_obj": page,
        "rows": rows,
        "parts": {},
        "everybodys": request.user.sees_everything,
        "may_act": any(row.is_ever_for(request.user) for row in rows),
        "query": f"{query.urlencode()}&" if query else "",
        "here": f"{request.path}?{query.urlencode()}&page={page.number}",
        "actions": _offered(rows),
        "seen": found.seen(rows),
        "pace": pace(rows),
    }
    if request.htmx:
        return render(request, "containers/_list.html", context)
    context["nodes"], context["plans"] = choices(request, found.asked)
    return render(request, "containers/list.html", context)


def _columns(user: User) -> dict[str, str]:
    """The heads of the table; customers need none for the customer."""
    columns = dict(COLUMNS)
    if not user.sees_everything:
        del columns["customer"]
    return columns


def _customer(found: Found, rows: list[Container]) -> str:
    """The customer that the list is narrowed to; empty where it is not."""
    picked = found.asked.get("customer")
    if not picked:
        return ""
    return str(rows[0].customer) if rows else f"customer {picked}"


def as_shown(found: QuerySet[Container]) -> QuerySet[Container]:
    """The containers with all that a page shows of them, in a fixed number of queries."""
    under_way = Operation.objects.open().select_related("target")
    return found.select_related("customer", "node", "order").prefetch_related(
        Prefetch("operations", queryset=under_way, to_attr="open_operations")
    )


def as_listed(found: QuerySet[Container]) -> QuerySet[Container]:
    """The containers with what their rows show and their buttons depend on; no more is read."""
    under_way = Operation.objects.open().select_related("target")
    under_way = under_way.only("container_id", "progress", "target__name")
    listed = found.select_related("customer", "node", "order").only(
        "name", "status", "status_since", "problem", "plan", "address", "missing", "revision",
        "withdrawn_at", "customer__username", "customer__first_name", "customer__last_name",
        "node__name", "node__online", "order__id",
    )  # fmt: skip
    return listed.prefetch_related(
        Prefetch("operations", queryset=under_way, to_attr="open_operations")
    )


def with_buttons(found: Iterable[Container], user: User) -> list[Container]:
    """The rows, each with the buttons that this person has on it."""
    rows = list(found)
    # The request's is a proxy, and each button of each row would go through it.
    user = copy(user)
    for row in rows:
        row.buttons = row.actions_for(user)
    return rows


def as_rows(found: Iterable[Container], user: User) -> list[Container]:
    """With their buttons, and for the tag `alike` with what each shows."""
    rows = with_buttons(found, user)
    for row in rows:
        row.cells = _cells(row)
        row.likeness = (tuple(row.buttons), row.status, row.progress, row.problem)
    return rows


def _cells(row: Container) -> dict[str, str]:
    """What each row has of its own, as HTML."""
    node = row.node.name if row.node else "–"
    if row.destination:
        node += f" → {row.destination.name}"
    order = None if row.node else getattr(row, "order", None)
    return {
        "key": str(row.pk),
        "number": f"order {order.pk}" if order else row.instance_name,
        "name": escape(row.name),
        "since": since(row.status_since),
        "customer": escape(str(row.customer)),
        "customer_key": str(row.customer_id),
        "plan": escape(row.plan),
        "node": escape(node),
        "address": escape(row.address or "–"),
    }


def pace(rows: Iterable[Container]) -> int:
    """Seconds until a page with these rows asks again."""
    return 2 if any(row.is_transient for row in rows) else 15


def _offered(rows: list[Container]) -> list[Action]:
    """The buttons of the bulk bar: what at least one row of the page allows."""
    names = {button.name for row in rows for button in row.buttons}
    return [action for name, action in Container.actions().items() if name in names]
