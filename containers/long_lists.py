"""What makes a database read a list that is too long to be counted off the index of its sort; the
rows and their order are the same without."""

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
    """Those of a plan. Keeps SQLite from finding them by an index of the plan, since sorting so
    many takes long; but not where the index of the sort begins with the plan."""
    by = sorting.fields[0].removeprefix("-")
    by_another_table = "__" in by
    sqlite = connections[found.db].vendor == "sqlite"
    if sqlite and by != "plan" and (by_another_table or in_one_status):
        return found.alias(its_plan=Concat("plan", Value(""))).filter(its_plan=plan)
    return found.filter(plan=plan)


def terms_on_one_node(sorting: Sorting, alias: str) -> list[Any]:
    """The few thousand containers of one node are soon sorted. PostgreSQL would rather look for
    them along the index of the sort, among those of all nodes; expressions keep it from that."""
    if connections[alias].vendor == "sqlite":
        return list(sorting.fields)
    return [
        OrderBy(_by_itself(name.removeprefix("-")), descending=name.startswith("-"))
        for name in sorting.fields
    ]


def _by_itself(field: str) -> Any:
    """The field as an expression. A customer's name is looked up for each row: PostgreSQL would
    rather read the names of all customers there are."""
    if field == "customer__last_name":
        return Subquery(User.objects.filter(pk=OuterRef("customer")).values("last_name"))
    return Coalesce(F(field), F(field))


def terms_on_no_node(sorting: Sorting, alias: str, *, in_one_status: bool) -> list[str]:
    """Those on no node, which are sorted by node first. Beginning with columns that are equal in
    all of them makes PostgreSQL read them off an index of just this order, and not look for them
    through all containers, newest first."""
    among_them = list(sorting.fields[1:])
    if connections[alias].vendor == "sqlite":
        return among_them
    same = ["node_id", "withdrawn_at", *(["status"] if in_one_status else [])]
    direction = "-" if sorting.is_descending else ""
    return [*(f"{direction}{field}" for field in same), *among_them]
