"""The page of one container: what it is, what goes on, what can be done, what happened."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from containers.models import Container, Operation
from containers.paging import Pages
from containers.repair.files import may_open
from containers.statuses import Status
from containers.views.polling import digest, poll_seconds
from containers.views.rows import as_shown, with_buttons
from panel.http import Request

# Rows of each list beside the history; these lists have no pages.
LATEST = 50
OVERVIEW = "overview"
# The tabs beside the overview, each a page of its own below the same head; and the page that a
# button leads back to: not the files, which any button closes.
TABS = {"usage": "containers:usage", "files": "containers:detail", "activity": "containers:history"}


@require_safe
def container(request: Request, pk: int) -> HttpResponse:
    found = get_object_or_404(Container.objects.visible_to(request.user), pk=pk)
    if request.htmx and request.GET.get("seen") == seen(found):
        return HttpResponse(status=204)
    return page(request, found)


def page(request: Request, container: Container, *, status: int = 200) -> HttpResponse:
    """The overview, or for htmx the part of it that changes; on other tabs only the head."""
    asked = request.GET.get("tab")
    tab = asked if request.htmx and asked in TABS else OVERVIEW
    if request.htmx:
        template = "containers/_overview.html" if tab == OVERVIEW else "containers/_head.html"
    else:
        template = "containers/detail.html"
    context = frame(request, container, tab=tab)
    return render(request, template, context, status=status)


@require_safe
def history(request: Request, pk: int) -> HttpResponse:
    found = get_object_or_404(Container.objects.visible_to(request.user), pk=pk)
    page = Pages.of(found.changes.all()).get_page(request.GET.get("page"))
    page.found = page.found.select_related("by", "operation")
    operations = found.operations.select_related("asked_by", "target")[:LATEST]
    tells = request.user.sees_everything
    return render(
        request,
        "containers/history.html",
        frame(request, found, tab="activity")
        | {
            "page_obj": page,
            "operations": [
                (each, f"{_as_logged(each)}\n{each.error_detail}" if tells else "")
                for each in operations
            ],
            "file_changes": found.file_changes.select_related("by")[:LATEST],
            "query": "",
        },
    )


def seen(container: Container) -> str:
    """A digest of what a page about one container shows of it."""
    return digest(container.pk, container.revision, container.is_overdue())


def _technical(container: Container, last: Operation | None) -> str:
    """The technical reason for the problem of a container; "" where none is known."""
    node = container.node
    if node is not None and not node.online:
        return f"node {node.name}: {node.problem}"
    if last is None or not last.error_detail:
        return ""
    return f"{_as_logged(last)}\n{last.kind}, try {last.attempts}: {last.error_detail}"


def _as_logged(operation: Operation) -> str:
    """The ids under which the log tells of an Operation."""
    asked = f", request {operation.request_id}" if operation.request_id else ""
    return f"operation {operation.pk}{asked}"


def frame(request: Request, container: Container, *, tab: str) -> dict[str, Any]:
    """The context of every page about one container: head, notes, buttons, tabs.

    Reads the row again, with all that is shown, so that the page is never older than what
    was just done.
    """
    shown = as_shown(Container.objects.filter(pk=container.pk)).select_related("order")
    [fresh] = with_buttons(shown, request.user)
    last = fresh.operations.select_related("asked_by").order_by("-pk").first()
    technical = _technical(fresh, last) if request.user.sees_everything else ""
    return {
        "section": "containers",
        "container": fresh,
        "buttons": fresh.buttons,
        "operation": fresh.operation,
        "failure": last if last is not None and last.is_behind(fresh.problem) else None,
        "technical": technical,
        "order": getattr(fresh, "order", None),
        "changes": fresh.changes.select_related("by", "operation")[:8],
        "in_repair": fresh.status == Status.REPAIRING,
        "may_open_files": may_open(fresh, request.user),
        "tab": tab,
        "back_to": reverse(TABS.get(tab, "containers:detail"), args=[fresh.pk]),
        "seen": seen(fresh),
        "poll_seconds": poll_seconds(fresh.is_transient),
    }
