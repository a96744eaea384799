"""Pages of a list that may be too long to count, numbered from its beginning and from its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil
from typing import Any

from django.db.models import F, QuerySet
from django.http import HttpRequest

from containers.counting import Count, how_many

ROWS_PER_PAGE = 50


@dataclass(frozen=True)
class Sorting:
    """The fields to sort by. The last must be unique, so that no row is on two pages.

    `nullable` names a field that may have no value: such rows come last, in descending order first.
    """

    fields: tuple[str, ...]
    nullable: str = ""

    def reversed(self) -> Sorting:
        """The opposite order."""
        return Sorting(tuple(_opposite(name) for name in self.fields), self.nullable)

    @property
    def is_descending(self) -> bool:
        return self.fields[0].startswith("-")

    def terms(self) -> list[Any]:
        return [self._term(name) for name in self.fields]

    def _term(self, name: str) -> Any:
        if name == self.nullable:
            return F(name).asc(nulls_last=True)
        if name == f"-{self.nullable}":
            return F(self.nullable).desc(nulls_first=True)
        return name


def _opposite(name: str) -> str:
    return name.removeprefix("-") if name.startswith("-") else f"-{name}"


NEWEST_FIRST = Sorting(("-pk",))


@dataclass
class Page:
    """One page, with the methods of Django's own. `number` counts from 1, or from the end: -1 is
    the last."""

    paginator: Pages
    number: int

    @property
    def sorting(self) -> Sorting:
        """The order in which its rows are read: that of the list, reversed for a page that counts
        from the end."""
        sorting = self.paginator.sorting
        return sorting if self.number > 0 else sorting.reversed()

    @property
    def stop(self) -> int:
        """The number of rows from where it counts, up to and with its own."""
        return abs(self.number) * self.paginator.per_page

    @cached_property
    def found(self) -> Any:
        """The query for its rows. Before they are read, a view may replace it by one that finds the
        same rows with more columns."""
        return self.paginator.rows_of(self)

    @cached_property
    def object_list(self) -> list[Any]:
        rows = list(self.found)
        return rows if self.number > 0 else rows[::-1]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.object_list)

    def has_other_pages(self) -> bool:
        return self.paginator.count.more or self.paginator.num_pages > 1

    def has_previous(self) -> bool:
        return self.number not in {1, -self.paginator.num_pages}

    def has_next(self) -> bool:
        return self.number not in {-1, self.paginator.num_pages}

    def previous_page_number(self) -> int:
        return self.number - 1

    def next_page_number(self) -> int:
        return self.number + 1

    def start_index(self) -> int:
        return (self.number - 1) * self.paginator.per_page + 1

    def end_index(self) -> int:
        return self.start_index() + len(self.object_list) - 1


@dataclass
class Pages:
    """The pages of a sorted list; in place of Django's Paginator, which counts every row.

    A list that was counted to its end has all its pages. A longer one has as many as were counted,
    from either end: a row in the middle is reached by filters. When a page is read, `parts` sorts
    the list: in more than one part, one after the other, where that is faster to read.
    """

    parts: Callable[[Sorting], Sequence[QuerySet[Any]]]
    count: Count
    sorting: Sorting = NEWEST_FIRST
    per_page: int = ROWS_PER_PAGE
    num_pages: int = field(init=False)

    def __post_init__(self) -> None:
        self.num_pages = max(ceil(self.count.number / self.per_page), 1)

    @classmethod
    def of(cls, found: QuerySet[Any], count: Count | None = None) -> Pages:
        """The pages of a list that is sorted by its keys, newest first."""
        count = how_many(found) if count is None else count
        return cls(lambda sorting: [found.order_by(*sorting.fields)], count)

    def get_page(self, asked: str | None) -> Page:
        """The page asked for, or the nearest that there is."""
        number = _whole(asked)
        if number < 0 and not self.count.more:
            number = max(self.num_pages + 1 + number, 1)
        number = max(min(number, self.num_pages), -self.num_pages)
        return Page(self, number)

    def rows_of(self, page: Page) -> QuerySet[Any]:
        """The rows of a page; of one from the end in reverse, the last row first.

        An inner query finds only the keys, and the outer one the columns and joins of these rows:
        so the database carries as little as possible past the rows that it skips.
        """
        sorting, stop = page.sorting, page.stop
        start, parts = stop - self.per_page, self.parts(sorting)
        everything: QuerySet[Any] = parts[0].model._default_manager.order_by()
        if len(parts) == 1:
            picked = parts[0].values("pk")[start:stop]
            return everything.filter(pk__in=picked).order_by(*sorting.terms())
        heads = [everything.filter(pk__in=part.values("pk")[:stop]).values("pk") for part in parts]
        picked = heads[0].union(*heads[1:], all=True)
        return everything.filter(pk__in=picked).order_by(*sorting.terms())[start:stop]


def links(request: HttpRequest, page: Page) -> dict[str, str]:
    """For the template of a list: `query`, with which the links to its pages begin, and `here`, the
    address of the page itself."""
    query = request.GET.copy()
    for passing in ("page", "seen"):
        query.pop(passing, None)
    asked = f"{query.urlencode()}&" if query else ""
    return {"query": asked, "here": f"{request.path}?{asked}page={page.number}"}


def _whole(asked: str | None) -> int:
    """The number in an address; 1 where there is none that makes sense."""
    text = asked or ""
    digits = text.removeprefix("-")
    if len(digits) > 9 or not (digits.isascii() and digits.isdigit()):
        return 1
    return int(text) or 1
