"""Counts that take the same time however many rows there are: exact up to a bound, beyond which
they say that there are more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import CharField, QuerySet, Value
from django.db.models.expressions import RawSQL

from panel.compiled import execute, inlined

# Rows are counted up to this number; a longer list has to be filtered.
FAR_ENOUGH = 1_000
_JOIN = {"sqlite": "group_concat", "postgresql": "string_agg"}


@dataclass(frozen=True)
class Count:
    """A number of rows; with `more`, at least that number. As text "17" or "1,000+"."""

    number: int = 0
    more: bool = False

    @classmethod
    def of(cls, number: int) -> Count:
        """Of a query that counted up to `FAR_ENOUGH` + 1."""
        return cls(min(number, FAR_ENOUGH), number > FAR_ENOUGH)

    def __str__(self) -> str:
        if not self.more:
            return str(self.number)
        return f"{self.number:,}+" if self.number else ""

    def __bool__(self) -> bool:
        return self.number > 0 or self.more

    def __add__(self, other: Count) -> Count:
        return Count(self.number + other.number, self.more or other.more)


def how_many(found: QuerySet[Any]) -> Count:
    """The number of rows, in one query; exact up to `FAR_ENOUGH`."""
    return Count.of(found.order_by()[: FAR_ENOUGH + 1].count())


def counts_as_text(found: QuerySet[Any], statuses: Iterable[str]) -> RawSQL:
    """The number of rows in each of the statuses, as an expression: one text, which `counts_in`
    reads. One subquery for all statuses, as planning eleven takes longer than counting."""
    wanted = list(statuses)
    in_one = found.filter(status=RawSQL("wanted.status", ())).order_by()
    # Skipping rows is quicker than counting them.
    more = in_one.values_list(Value(FAR_ENOUGH + 1))[FAR_ENOUGH : FAR_ENOUGH + 1]
    try:
        beyond, passed = more.query.get_compiler(found.db).as_sql()
        every, counted = in_one.values("pk").query.get_compiler(found.db).as_sql()
    except EmptyResultSet:
        beyond, passed, every, counted = "NULL", (), "SELECT 1 WHERE 1 = 0", ()
    sql = f"""(
        WITH wanted(status) AS (VALUES {", ".join(["(%s)"] * len(wanted))})
        SELECT {_JOIN[connections[found.db].vendor]}(
            wanted.status || ':' ||
            COALESCE(({beyond}), (SELECT COUNT(*) FROM ({every}) AS counted)),
            ','
        ) FROM wanted
    )"""  # noqa: S608  # Django's own SQL
    return RawSQL(sql, [*wanted, *passed, *counted], CharField())  # noqa: S611


def counts_in(text: str, statuses: Iterable[str]) -> dict[str, Count]:
    """The counts in a text of `counts_as_text`, for the same statuses."""
    numbers = dict(pair.split(":") for pair in text.split(","))
    return {status: Count.of(int(numbers[status])) for status in statuses}


class CountsByStatus:
    """Counts the rows in each status, none left out, in one query that is compiled once."""

    def __init__(self, found: QuerySet[Any], statuses: Iterable[str]) -> None:
        self._alias, self._statuses = found.db, list(statuses)
        text = counts_as_text(found, self._statuses)
        connection = connections[self._alias]
        self._compiled = inlined(connection, f"SELECT {text.sql}", text.params)

    def __call__(self) -> dict[str, Count]:
        [[text]] = execute(connections[self._alias], *self._compiled)
        return counts_in(text, self._statuses)


def counts_by_status(found: QuerySet[Any], statuses: Iterable[str]) -> dict[str, Count]:
    """The number of rows in each status, counted once."""
    return CountsByStatus(found, statuses)()


def counts_among(first: Sequence[str], statuses: Iterable[str]) -> dict[str, Count]:
    """The counts by status of up to `FAR_ENOUGH` + 1 rows, from their statuses. If there are that
    many, the last is not counted, and each count says that there may be more."""
    counted = Counter(first[:FAR_ENOUGH])
    more = len(first) > FAR_ENOUGH
    return {status: Count(counted[status], more) for status in statuses}


def total(counts: Mapping[str, Count], *, but: Iterable[str] = ()) -> Count:
    """The sum of the counts, without those of the statuses in `but`."""
    left_out = set(but)
    return sum((count for status, count in counts.items() if status not in left_out), Count())
