"""The panel, and beside it what Django makes of the same rows: the least that it can, and its
admin."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import path

from containers.admin import ContainerAdmin
from containers.models import Container
from panel.urls import urlpatterns as panel

TABLE = """<!DOCTYPE html>
<html lang="en"><head><title>Containers of {{ request.user }}</title></head><body><table>
{% for row in rows %}<tr><td>{{ row.name }}</td><td>{{ row.get_status_display }}</td>
<td>{{ row.status_since }}</td><td>{{ row.customer }}</td><td>{{ row.plan }}</td>
<td>{{ row.node }}</td><td>{{ row.address }}</td><td>{{ row.order }}</td></tr>
{% endfor %}</table></body></html>"""


@cache
def template() -> Any:
    return engines["django"].from_string(TABLE)


def bare(request: HttpRequest) -> HttpResponse:
    """The rows of these keys, with all that belongs to them, as a plain table."""
    keys = request.GET["keys"].split(",")
    rows = Container.objects.filter(pk__in=keys).select_related("customer", "node", "order")
    return HttpResponse(template().render({"rows": rows}, request))


@login_not_required
def nothing(request: HttpRequest) -> HttpResponse:
    """The least that a poll can be."""
    return HttpResponse(status=204)


class Plain(admin.ModelAdmin):
    """The list of containers as a few lines of the Django admin make it."""

    list_display = ContainerAdmin.list_display
    list_filter = ["status", "node", "plan"]
    list_select_related = ContainerAdmin.list_select_related
    show_full_result_count = False
    date_hierarchy = "ordered_at"
    is_now = ContainerAdmin.is_now


site = admin.AdminSite("plain")
site.register(Container, Plain)

urlpatterns = [
    *panel,
    path("bare/", bare),
    path("nothing/", nothing),
    path("plain/", site.urls),
]
