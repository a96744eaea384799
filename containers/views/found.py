"""What a list of containers shows for the parameters of an address, whatever its size.

A list short enough to be counted is found by its filters, then sorted; from a longer one the
rows are read off the index of its sort. Which of the two it is decides about speed alone: a poll
takes the word of its page for it, and so needs one query.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from django.db.models import QuerySet, Value
from django.db.models.functions import Concat

from containers.counting import FAR_ENOUGH, Count, counting, counts_by_status, counts_in, total
from containers.digest import digest
from containers.filters import ContainerFilter
from containers.models import Container
from containers.paging import NEWEST_FIRST, Page, Pages, Sorting
from containers.search import looked_up, matching
from containers.statuses import Status
from panel.http import Request

# The heads that sort, by the name that the address bears.
COLUMNS = {
    "name": "Container",
    "status": "Status",
    "since": "For",
    "customer": "Customer",
    "plan": "Plan",
    "node": "Node",
    "address": "Address",
}
SORTINGS = {
    "name": Sorting(("name", "-pk")),
    "status": Sorting(("status", "-pk")),
    "since": Sorting(("status_since", "-pk")),
    "customer": Sorting(("customer__last_name", "customer_id", "-pk")),
    "plan": Sorting(("plan", "-pk")),
    "node": Sorting(("node__name", "-pk"), nullable="node__name"),
    "address": Sorting(("address", "-pk")),
}
# How the digest of a list begins that is too long to be counted, and of any other.
LONG, SHORT = "l", "s"


class Found:
    """The containers that a person asked for: how many in each status, and their pages."""

    def __init__(self, request: Request) -> None:
        visible = Container.objects.visible_to(request.user)
        filters = ContainerFilter(request.GET, queryset=visible, request=request)
        self._scope = filters.qs
        self._asked_page = request.GET.get("page")
        self.asked: dict[str, Any] = filters.form.cleaned_data
        self.text = (self.asked.get("q") or "").strip()
        sort = request.GET.get("sort", "")
        self.sort = sort if sort.removeprefix("-") in SORTINGS else ""
        self._sorting = SORTINGS.get(self.sort.removeprefix("-"), NEWEST_FIRST)
        if self.sort.startswith("-"):
            self._sorting = self._sorting.reversed()
        plan = self.asked.get("plan")
        self._narrowed = self._scope.filter(plan=plan) if plan else self._scope
        status = request.GET.get("status", "")
        self.status = status if status in Status.values else ""

    @cached_property
    def counts(self) -> dict[str, Count]:
        """By status; of a search that finds too much, what is among the first of it."""
        if not self.text:
            return counts_by_status(self._narrowed, Status.values)
        statuses = [row.status for row in self._first_matches]
        more = len(statuses) > FAR_ENOUGH
        return {status: Count(statuses.count(status), more) for status in Status.values}

    @cached_property
    def total(self) -> Count:
        """All but the destroyed."""
        return total(self.counts, but=[Status.DESTROYED])

    def page(self) -> Page:
        """The page asked for, or the nearest that there is."""
        return self._page_of(self._count)

    def seen(self, rows: Iterable[Container]) -> str:
        """A digest of what a page with these rows shows."""
        return _digest(rows, self.counts, long=self._count.more)

    def unchanged(self, seen: str) -> bool:
        """Whether a page that has seen this would show the same now."""
        if self.text:
            page = self._page_of(self._count)
            page.found = _trace(page.found)
            return self.seen(page) == seen
        long = seen.startswith(LONG)
        page = self._page_of(Count(FAR_ENOUGH * len(Status), more=long))
        counts = counting(self._narrowed, Status.values)
        page.found = _trace(page.found).annotate(**counts)
        rows = list(page)
        if not rows:
            return False
        return _digest(rows, counts_in(vars(rows[0]), Status.values), long=long) == seen

    @property
    def _count(self) -> Count:
        return self.counts[self.status] if self.status else self.total

    @cached_property
    def _first_matches(self) -> list[Container]:
        few = looked_up(self._narrowed, self.text, FAR_ENOUGH + 1)
        return list(few.only("pk", "status")[: FAR_ENOUGH + 1])

    def _page_of(self, count: Count) -> Page:
        found = self._narrowed
        if count.more and self.status and self.asked.get("plan"):
            # Row by row along the index of the sort: SQLite would rather sort all of the plan.
            found = self._scope.alias(its_plan=Concat("plan", Value("")))
            found = found.filter(its_plan=self.asked["plan"])
        if self.text:
            keys = [row.pk for row in self._first_matches]
            few = Container.objects.filter(pk__in=keys)
            found = matching(found, self.text) if count.more else few
        if self.status:
            found = found.filter(status=self.status)
        else:
            found = found.exclude(status=Status.DESTROYED)
        return Pages(self._parts(found, count), count, self._sorting).get_page(self._asked_page)

    def _parts(self, found: QuerySet[Container], count: Count) -> list[QuerySet[Container]]:
        """Those without a node are apart, so that the others can be read node by node."""
        if not (count.more and self._sorting.nullable):
            return [found]
        parts = [found.filter(node__name__isnull=False), found.filter(node=None)]
        return parts[::-1] if self._sorting.is_descending else parts


def _trace(found: QuerySet[Container]) -> QuerySet[Container]:
    """As much of the rows as tells whether they have changed."""
    return found.only("revision", "status", "status_since")


def _digest(rows: Iterable[Container], counts: dict[str, Count], *, long: bool) -> str:
    shown = [(row.pk, row.revision, row.is_overdue()) for row in rows]
    return (LONG if long else SHORT) + digest(shown, counts)
