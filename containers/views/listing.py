"""The list of containers: filtered, sorted, paged, and polled by a digest of what was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from containers.filters import choices
from containers.models import Action, Container
from containers.paging import links
from containers.statuses import LINED_UP
from containers.views.container_list import COLUMNS, ContainerList, unchanged
from containers.views.polling import poll_seconds
from containers.views.rows import as_rows, with_buttons
from panel.http import Request

if TYPE_CHECKING:
    from panel.models import User


@require_safe
def containers(request: Request) -> HttpResponse:
    if request.htmx and unchanged(request):
        return HttpResponse(status=204)
    listed = ContainerList(request)
    page = listed.page()
    shown = with_buttons(page, request.user)
    rows = as_rows(shown, request.user)
    context = {
        "section": "containers",
        "listed": listed,
        "chips": [(status, listed.counts[status]) for status in LINED_UP],
        "customer": _customer(listed, shown, request.user),
        "columns": _columns(request.user),
        "page_obj": page,
        "rows": rows,
        "everybodys": request.user.sees_everything,
        "may_act": any(row.looks.may_act for row in rows),
        **links(request, page),
        "actions": _offered(shown),
        "seen": listed.seen(shown),
        "poll_seconds": poll_seconds(any(each.is_transient for each in shown)),
    }
    if request.htmx:
        return render(request, "containers/_list.html", context)
    context["nodes"], context["plans"] = choices(request, listed.filters)
    return render(request, "containers/list.html", context)


def _columns(user: User) -> dict[str, str]:
    """The heads of the table; customers need none for the customer."""
    columns = dict(COLUMNS)
    if not user.sees_everything:
        del columns["customer"]
    return columns


def _customer(listed: ContainerList, shown: list[Container], user: User) -> str:
    """The name of the customer whose containers the list is filtered by; "" where it is not. Who
    sees only their own containers is told no other's name."""
    picked = listed.filters.get("customer")
    if not picked:
        return ""
    if shown:
        return str(shown[0].customer)
    people = get_user_model().objects.filter(pk=picked)
    known = people if user.sees_everything else people.filter(pk=user.pk)
    return str(known.first() or f"customer {picked}")


def _offered(rows: list[Container]) -> list[Action]:
    """The buttons of the bulk bar: what at least one row of the page allows."""
    names = {button.name for row in rows for button in row.buttons}
    return [action for name, action in Container.actions().items() if name in names]
