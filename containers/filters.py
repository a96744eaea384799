"""The options of the filters above the list of containers: its nodes and its plans."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from django.db import connection
from django.utils.safestring import SafeString, mark_safe

from containers.models import Container
from containers.statuses import Status
from panel.compiled import execute
from panel.http import Request


def choices(request: Request, filters: dict[str, Any]) -> tuple[SafeString, SafeString]:
    """The options for nodes and for plans, those of `filters` selected; in one query."""
    nodes, plans = everybodys() if request.user.sees_everything else ([], _own(request))
    return _options(nodes, filters.get("node")), _options(
        [(p, p) for p in plans], filters.get("plan")
    )


def _own(request: Request) -> list[str]:
    own = Container.objects.visible_to(request.user).order_by("plan")
    return list(own.values_list("plan", flat=True).distinct())


def everybodys() -> tuple[list[tuple[int, str]], list[str]]:
    """All nodes with their keys, and the plans of all containers on the list. The query goes along
    the index from one plan to the next, however many containers each has."""
    rows = execute(connection, _CHOICES, None)
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


_LISTED = f"withdrawn_at IS NULL AND NOT (status = '{Status.DESTROYED.value}')"
_CHOICES = f"""
    WITH RECURSIVE plans (name) AS (
        SELECT min(plan) FROM containers_container WHERE {_LISTED}
        UNION ALL
        SELECT (
            SELECT min(plan) FROM containers_container WHERE {_LISTED} AND plan > plans.name
        ) FROM plans WHERE name IS NOT NULL
    )
    SELECT NULL, name FROM plans WHERE name IS NOT NULL
    UNION ALL
    SELECT id, name FROM containers_node
    ORDER BY 2
"""  # noqa: S608  # nothing of anybody's is in it
