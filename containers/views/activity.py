"""What happened lately to everything that a person may see."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from containers.models import StatusChange
from containers.paging import Pages
from containers.statuses import Status
from panel.http import Request


@require_safe
def activity(request: Request) -> HttpResponse:
    changes = StatusChange.objects.visible_to(request.user)
    status = request.GET.get("status", "")
    if status in Status.values:
        changes = changes.filter(to_status=status)
    page = Pages.of(changes).get_page(request.GET.get("page"))
    page.found = page.found.select_related("container__customer", "by")
    context = {
        "section": "activity",
        "status": status,
        "statuses": list(Status),
        "page_obj": page,
        "query": f"status={status}&" if status in Status.values else "",
    }
    return render(request, "containers/activity.html", context)
