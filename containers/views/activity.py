"""What happened lately to everything that a person may see, narrowed and searched."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from containers.models import Container, Operation, StatusChange
from containers.paging import Pages, links
from containers.search import failures, of_found
from containers.statuses import Status
from panel.http import Request

# Beside the statuses, what the list can be narrowed to.
FAILED = "failed"


@require_safe
def activity(request: Request) -> HttpResponse:
    changes: QuerySet[Any] = StatusChange.objects.visible_to(request.user)
    text = request.GET.get("q", "").replace("\0", "").strip()
    if text:
        own = not request.user.sees_everything
        containers = Container.objects.visible_to(request.user)
        changes = of_found(changes, containers, text, of_few=own)
    status = request.GET.get("status", "")
    if status == FAILED:
        changes = failures(changes, Operation.objects.visible_to(request.user))
    elif status in Status.values:
        changes = changes.filter(to_status=status)
    else:
        status = ""
    page = Pages.of(changes).get_page(request.GET.get("page"))
    page.found = page.found.select_related("container__customer", "by", "operation")
    context = {
        "section": "activity",
        "text": text,
        "status": status,
        "statuses": list(Status),
        "failed": FAILED,
        "page_obj": page,
        **links(request, page),
    }
    return render(request, "containers/activity.html", context)
