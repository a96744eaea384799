"""Counts that cost the same however much there is: exact up to a bound, and honest beyond it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

# As far as anybody counts; whoever has more than this looks for less.
FAR_ENOUGH = 1_000
# Stands for a status; nothing else that may be searched for can be this.
_ANY = "\0status"


@dataclass(frozen=True)
class Count:
    """How many there are; with `more`, that and some more. As text "17" or "1,000+"."""

    number: int = 0
    more: bool = False

    @classmethod
    def of(cls, number: int) -> Count:
        """What was counted with the bound one above `FAR_ENOUGH`."""
        return cls(min(number, FAR_ENOUGH), number > FAR_ENOUGH)

    def __str__(self) -> str:
        if not self.more:
            return str(self.number)
        return f"{self.number:,}+" if self.number else ""

    def __bool__(self) -> bool:
        return self.number > 0 or self.more

    def __add__(self, other: Count) -> Count:
        return Count(self.number + other.number, self.more or other.more)


def counted(found: QuerySet[Any]) -> Count:
    """How much was found, in one query."""
    return Count.of(found.order_by()[: FAR_ENOUGH + 1].count())


def counting(found: QuerySet[Any], statuses: Iterable[str]) -> dict[str, RawSQL]:
    """Annotations that count what was found by status; `counts_in` reads them.

    They differ in one parameter only, and so Django puts the first together for all.
    """
    slice_ = found.filter(status=_ANY).order_by().values("pk")[: FAR_ENOUGH + 1]
    try:
        query, params = slice_.query.get_compiler(slice_.db).as_sql()
    except EmptyResultSet:
        query, params = "SELECT 1 WHERE 1 = 0", ()
    count = f"SELECT COUNT(*) FROM ({query}) AS counted"  # noqa: S608  # Django's own SQL
    return {
        f"in_{status}": RawSQL(count, [status if p == _ANY else p for p in params])  # noqa: S611
        for status in statuses
    }


def counts_in(row: Mapping[str, int | None], statuses: Iterable[str]) -> dict[str, Count]:
    """The counts of a row that was annotated by `counting`, in the order of the statuses."""
    return {status: Count.of(row[f"in_{status}"] or 0) for status in statuses}


def counts_by_status(found: QuerySet[Any], statuses: Iterable[str]) -> dict[str, Count]:
    """How many of what was found are in each status, in one query; none is left out."""
    statuses = list(statuses)
    # Any row will do to hang the counts on; where there is none, there is nothing to count.
    anything = found.model._default_manager.order_by().values(**counting(found, statuses))
    row = next(iter(anything[:1]), None)
    return counts_in(row, statuses) if row else dict.fromkeys(statuses, Count())


def counts_among(first: Sequence[Any], statuses: Iterable[str]) -> dict[str, Count]:
    """By status, of rows that were read up to one beyond `FAR_ENOUGH`: where there are more,
    what is among the first."""
    counted = Counter(row.status for row in first[:FAR_ENOUGH])
    more = len(first) > FAR_ENOUGH
    return {status: Count(counted[status], more) for status in statuses}


def total(counts: Mapping[str, Count], *, but: Iterable[str] = ()) -> Count:
    """All of them together, without those of the statuses named."""
    left_out = set(but)
    return sum((count for status, count in counts.items() if status not in left_out), Count())
