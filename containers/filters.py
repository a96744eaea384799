"""What a list of containers can be narrowed to: status, node, plan, customer."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.models import QuerySet
from django.utils.safestring import SafeString, mark_safe

from containers.models import Container
from containers.statuses import Status
from panel.http import Request

if TYPE_CHECKING:
    from panel.models import User


def narrowed(
    visible: QuerySet[Container], asked: dict[str, Any], user: User
) -> QuerySet[Container]:
    """Those of one customer, and on one node: nodes are the administrators' business alone. By
    plan and by a search the list narrows itself: how depends on how much there is."""
    node, customer = asked.get("node"), asked.get("customer")
    found = visible.filter(node=node) if node and user.administers else visible
    return found.filter(customer=customer) if customer else found


def choices(request: Request, asked: dict[str, Any]) -> tuple[SafeString, SafeString]:
    """The nodes and the plans that the list can be narrowed to, as options; in one query."""
    nodes, plans = everybodys() if request.user.sees_everything else ([], _own(request))
    return _options(nodes, asked.get("node")), _options([(p, p) for p in plans], asked.get("plan"))


def _own(request: Request) -> list[str]:
    own = Container.objects.visible_to(request.user).order_by("plan")
    return list(own.values_list("plan", flat=True).distinct())


def everybodys() -> tuple[list[tuple[int, str]], list[str]]:
    """All nodes with their keys, and the plans of all containers on the list. Plans are hopped to
    one after the other along their index, however many containers each has."""
    with connection.cursor() as cursor:
        cursor.execute(_CHOICES, {"destroyed": Status.DESTROYED})
        rows = cursor.fetchall()
    nodes = [(key, name) for key, name in rows if key is not None]
    return nodes, [name for key, name in rows if key is None]


def _options(pairs: Iterable[tuple[int | str, str]], picked: object) -> SafeString:
    """Values are keys, or the names themselves. Put together without a template: each page has
    hundreds."""
    lines = []
    for value, name in pairs:
        label = escape(name)
        selected = " selected" if value == picked else ""
        lines.append(
            f'<option value="{label if value == name else value}"{selected}>{label}</option>'
        )
    return mark_safe("\n".join(lines))  # noqa: S308  # a number, and a name that was escaped


_CHOICES = """
    WITH RECURSIVE plans (name) AS (
        SELECT min(plan) FROM containers_container
        WHERE withdrawn_at IS NULL AND NOT (status = %(destroyed)s)
        UNION ALL
        SELECT (
            SELECT min(plan) FROM containers_container
            WHERE withdrawn_at IS NULL AND NOT (status = %(destroyed)s) AND plan > plans.name
        ) FROM plans WHERE name IS NOT NULL
    )
    SELECT NULL, name FROM plans WHERE name IS NOT NULL
    UNION ALL
    SELECT id, name FROM containers_node
    ORDER BY 2
"""
