"""The rows of the list of containers: what each shows, and the buttons that a person has on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from html import escape

from django.db import DEFAULT_DB_ALIAS
from django.db.models import FilteredRelation, Model, Prefetch, Q, QuerySet

from containers.models import Action, Container, Node, Operation
from containers.statuses import TRANSIENT, Status
from containers.templatetags.spans import since
from panel.compiled import CompiledQuery, instances
from panel.models import User


@dataclass(frozen=True)
class Looks:
    """What rows that look alike have in common; beside the names of the cells, the template of a
    row knows nothing else. `whose`: there is a column for the customer; `may_act`: there are two
    for boxes and buttons."""

    status: Status
    progress: int | None
    has_problem: bool
    buttons: tuple[Action, ...]
    whose: bool
    may_act: bool

    @property
    def is_transient(self) -> bool:
        return self.status in TRANSIENT

    @property
    def get_status_display(self) -> str:
        """Named as a container has it."""
        return str(self.status.label)


def as_shown(found: QuerySet[Container]) -> QuerySet[Container]:
    """The containers with all that a page shows of them, in a fixed number of queries."""
    under_way = Operation.objects.open().select_related("target")
    return found.select_related("customer", "node").prefetch_related(
        Prefetch("operations", queryset=under_way, to_attr="open_operations")
    )


def with_buttons(found: Iterable[Container], user: User) -> list[Container]:
    """The containers, each with the buttons that this person has on it."""
    rows = list(found)
    # The request's is a proxy, and each button of each row would go through it.
    user = copy(user)
    for row in rows:
        row.buttons = row.actions_for(user)
    return rows


class Listed:
    """The containers found, with what the rows of a list show of them and no more: compiled once,
    and read in one query each time."""

    def __init__(self, found: QuerySet[Container]) -> None:
        is_open = Q(operations__outcome=Operation.Outcome.OPEN)
        found = found.annotate(work=FilteredRelation("operations", condition=is_open))
        columns = [f"{way}{field}" for way, _, fields in _SHOWN for field in fields]
        self._query = CompiledQuery(found.values_list(*columns, "order__pk"))

    def __iter__(self) -> Iterator[Container]:
        models = [(model, fields) for _, model, fields in _SHOWN]
        for *values, order_number in self._query.rows():
            made = instances(models, values, DEFAULT_DB_ALIAS)
            container, customer, node, work, target = made
            container.customer, container.node = customer, node
            container.order_number = order_number
            container.open_operations = [work] if work else []
            if work:
                work.target = target
            yield container


# The way from a container to each model, and its fields that are shown, as `instances` wants them.
_SHOWN: tuple[tuple[str, type[Model], tuple[str, ...]], ...] = (
    (
        "",
        Container,
        (
            "id", "customer_id", "name", "plan", "node_id", "address", "status", "status_since",
            "problem", "missing", "revision", "withdrawn_at",
        ),
    ),
    ("customer__", User, ("id", "username", "first_name", "last_name")),
    ("node__", Node, ("id", "name", "online")),
    ("work__", Operation, ("id", "target_id", "progress")),
    ("work__target__", Node, ("id", "name")),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A row of the table, for the tag `table_rows`; `cells` are what it has of its own, as HTML.

    web-1 and db-1, both stopped and whole, have the same looks for Lena: `Looks(STOPPED, None,
    False, (start, repair), whose=False, may_act=True)`. Their cells differ: `{"key": "7", "name":
    "web-1", …}` and `{"key": "8", "name": "db-1", …}`. Once db-1 starts it has the looks of those
    that boot.
    """

    looks: Looks
    cells: dict[str, str]


def as_rows(shown: list[Container], user: User) -> list[Row]:
    """What this person sees of containers that are `Listed`, and have their buttons."""
    whose, may_act = user.sees_everything, any(each.is_ever_for(user) for each in shown)
    return [Row(_looks(each, whose=whose, may_act=may_act), _cells(each)) for each in shown]


def _looks(shown: Container, *, whose: bool, may_act: bool) -> Looks:
    status, buttons = Status(shown.status), tuple(shown.buttons)
    return Looks(status, shown.progress, bool(shown.problem), buttons, whose, may_act)


def _cells(shown: Container) -> dict[str, str]:
    node, destination = shown.node.name if shown.node else "–", shown.destination
    if destination:
        node += f" → {destination.name}"
    ordered = shown.node is None and shown.order_number is not None
    return {
        "key": str(shown.pk),
        "number": f"order {shown.order_number}" if ordered else shown.instance_name,
        "name": escape(shown.name),
        "problem": escape(shown.problem),
        "since": since(shown.status_since),
        "customer": escape(str(shown.customer)),
        "customer_key": str(shown.customer_id),
        "plan": escape(shown.plan),
        "node": escape(node),
        "address": escape(shown.address or "–"),
    }
