"""What happened lately to everything that a person may see."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from containers.models import StatusChange
from containers.statuses import Status
from panel.http import Request

ROWS_PER_PAGE = 50


@require_safe
def activity(request: Request) -> HttpResponse:
    changes = StatusChange.objects.visible_to(request.user).select_related(
        "container__customer", "by", "operation"
    )
    status = request.GET.get("status", "")
    if status in Status.values:
        changes = changes.filter(to_status=status)
    context = {
        "section": "activity",
        "status": status,
        "statuses": list(Status),
        "page_obj": Paginator(changes, ROWS_PER_PAGE).get_page(request.GET.get("page")),
        "query": f"status={status}&" if status in Status.values else "",
    }
    return render(request, "containers/activity.html", context)
