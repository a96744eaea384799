"""Forms of a query that make the database use the right index for a long list. They change which
index it reads, never the rows or their order."""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.models import F, OuterRef, QuerySet, Subquery, Value
from django.db.models.expressions import OrderBy
from django.db.models.functions import Coalesce, Concat

from containers.models import Container
from containers.paging import Sorting
from panel.models import User


def of_plan_row_by_row(
    found: QuerySet[Container], plan: str, sorting: Sorting, *, in_one_status: bool
) -> QuerySet[Container]:
    """The containers of one plan, read along the sort. SQLite would find them by an index of plans
    and sort them all, so the plan is hidden from it; except where the index of the sort begins with
    the plan."""
    by = sorting.fields[0].removeprefix("-")
    by_another_table = "__" in by
    sqlite = connections[found.db].vendor == "sqlite"
    if sqlite and by != "plan" and (by_another_table or in_one_status):
        return found.alias(its_plan=Concat("plan", Value(""))).filter(its_plan=plan)
    return found.filter(plan=plan)


def terms_on_one_node(sorting: Sorting, alias: str) -> list[Any]:
    """The order of the containers of one node, of which a few thousand are soon sorted. PostgreSQL
    would look for them along the index of the sort, which holds those of all nodes; it cannot if
    the order is by expressions."""
    if connections[alias].vendor == "sqlite":
        return list(sorting.fields)
    return [
        OrderBy(_by_itself(name.removeprefix("-")), descending=name.startswith("-"))
        for name in sorting.fields
    ]


def _by_itself(field: str) -> Any:
    """The field as an expression. A customer's name becomes a subquery for each row: in a join
    PostgreSQL would read the names of all customers."""
    if field == "customer__last_name":
        return Subquery(User.objects.filter(pk=OuterRef("customer")).values("last_name"))
    return Coalesce(F(field), F(field))


def terms_on_no_node(sorting: Sorting, alias: str, *, in_one_status: bool) -> list[str]:
    """The order of the containers on no node in a list that is sorted by node. It begins with
    columns that are equal in all of them: so PostgreSQL reads them off an index of just this order,
    instead of looking for them among all containers, newest first."""
    among_them = list(sorting.fields[1:])
    if connections[alias].vendor == "sqlite":
        return among_them
    same = ["node_id", "withdrawn_at", *(["status"] if in_one_status else [])]
    direction = "-" if sorting.is_descending else ""
    return [*(f"{direction}{field}" for field in same), *among_them]
