"""The query behind the list of containers: filters, search, sort and page, as the address has them.

A list that is short enough to be counted is filtered, then sorted; a longer one is read along the
index of its sort. A search with many matches looks first whether enough of them come early in the
sort, and otherwise looks them all up. Each `Way` gives the same rows. A poll takes the way that its
page took, and so needs one query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property

from django.db.models import QuerySet, Value

from containers import search
from containers.counting import FAR_ENOUGH, Count, CountsByStatus, counts_as_text, total
from containers.forms import FilterForm
from containers.long_lists import of_plan_row_by_row, terms_on_no_node, terms_on_one_node
from containers.models import Container
from containers.paging import NEWEST_FIRST, ROWS_PER_PAGE, Page, Pages, Sorting
from containers.statuses import Status
from containers.views.list_poll import (
    FINGERPRINT,
    Fingerprint,
    Poll,
    Way,
    counts_of,
    digest_of_list,
    digest_of_search,
    first,
)
from containers.views.rows import Listed
from panel.compiled import CompiledQuery, Kept
from panel.http import Request
from panel.models import User

# The columns that the list can be sorted by, as `?sort=` names them.
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
    "customer": Sorting(("customer__last_name", "-pk")),
    "plan": Sorting(("plan", "-pk")),
    "node": Sorting(("node__name", "-pk"), nullable="node__name"),
    "address": Sorting(("address", "-pk")),
}


# If fewer of the rows that a page needs match among the first of the sort, all matches are looked
# up and sorted: to read on along the sort would take longer.
SELDOM = 0.1


class ContainerList:
    """The containers that a request asks for: how many in each status, and their pages."""

    def __init__(self, request: Request) -> None:
        self.filters = FilterForm(request.GET).filters()
        self._asked = _rights(request.user), *self.filters.items()
        found: QuerySet[Container] = Container.objects.visible_to(request.user)
        self._is_of_few = not request.user.sees_everything
        if (node := self.filters.get("node")) and request.user.administers:
            found, self._is_of_few = found.filter(node=node), True
        if customer := self.filters.get("customer"):
            found, self._is_of_few = found.filter(customer=customer), True
        self._of_all_plans = found
        plan = self.filters.get("plan")
        self._filtered = found.filter(plan=plan) if plan else found
        self._page_number = request.GET.get("page")
        self.text = (self.filters.get("q") or "").strip()
        sort = request.GET.get("sort", "")
        self.sort = sort if sort.removeprefix("-") in SORTINGS else ""
        self._sorting = SORTINGS.get(self.sort.removeprefix("-"), NEWEST_FIRST)
        if self.sort.startswith("-"):
            self._sorting = self._sorting.reversed()
        status = request.GET.get("status", "")
        self.status = status if status in Status.values else ""

    @cached_property
    def counts(self) -> dict[str, Count]:
        """By status; of a search with too many matches, among the first that it finds."""
        if self.text:
            return counts_of(self._matches)
        return _counts.get(self._asked, self._counting)()

    @cached_property
    def total(self) -> Count:
        """All but the destroyed."""
        return total(self.counts, but=[Status.DESTROYED])

    def page(self) -> Page:
        """The page asked for, or the nearest that there is."""
        if self.text:
            return self._page_of_search()
        page = self._page_of(self._count, self._way)
        asked = self._asked, self.status, self.sort, self._count.more, page.number
        page.found = _pages.get(asked, lambda: Listed(page.found))
        return page

    def seen(self, rows: Iterable[Container]) -> str:
        """A digest of what a page with these rows shows."""
        shown = [(row.pk, row.revision, row.status, row.stopping_since) for row in rows]
        if self.text:
            return digest_of_search(shown, self._matches, self._way)
        return digest_of_list(shown, self.counts, self._way)

    def poll(self, way: Way) -> Poll:
        """The query that tells whether the page has changed since it was read in this `way`."""
        # The query is kept, and people are renamed: it looks for them anew each time.
        self._people = None
        matches = self._looked_up().values_list(*FINGERPRINT)
        counts = self._counting()
        if self.text and way is Way.COUNTED:
            return Poll(CompiledQuery(matches), counts, is_search=True, way=way)
        count = Count(FAR_ENOUGH * len(Status), more=way is not Way.COUNTED)
        shown = self._page_of(count, way).found
        if not self.text:
            in_one_text = counts_as_text(self._filtered, Status.values)
            on_page = CompiledQuery(shown.values_list(*FINGERPRINT, in_one_text))
            return Poll(on_page, counts, is_search=False, way=way)
        shown = Container.objects.filter(pk__in=shown.values("pk")).order_by()
        both = shown.values_list(*FINGERPRINT, Value(True)).union(
            self._looked_up().values_list(*FINGERPRINT, Value(False)), all=True
        )
        return Poll(CompiledQuery(both), counts, is_search=True, way=way)

    def _counting(self) -> CountsByStatus:
        return CountsByStatus(self._filtered, Status.values)

    @property
    def _count(self) -> Count:
        return self.counts[self.status] if self.status else self.total

    @cached_property
    def _matches(self) -> list[Fingerprint]:
        """What a search finds; where that is more than is counted, the first of it."""
        return first(self._looked_up().values_list(*FINGERPRINT))

    def _looked_up(self) -> QuerySet[Container]:
        return search.looked_up(
            self._filtered, self.text, FAR_ENOUGH + 1, self._people, of_few=self._is_of_few
        )

    @cached_property
    def _people(self) -> Sequence[int] | None:
        return search.people_once(self.text, FAR_ENOUGH)

    @cached_property
    def _way(self) -> Way:
        return Way.ALONG_THE_SORT if self._count.more else Way.COUNTED

    def _page_of_search(self) -> Page:
        """The first of `_pages_of_search` that is full, or the last. Its query is not kept, as the
        keys of matches are in it."""
        for way, page in self._pages_of_search():
            self._way, page.found = way, Listed(page.found)
            if len(page.object_list) == ROWS_PER_PAGE:
                break
        return page

    def _pages_of_search(self) -> Iterator[tuple[Way, Page]]:
        """The page, in each of the ways to read it that are worth a try."""
        way = self._way
        page = self._page_of(self._count, way)
        if self._count.more:
            [early] = self._early(page.sorting)
            keys = list(early.values_list("pk", flat=True)[: page.stop])
            if len(keys) == page.stop:
                shown = Container.objects.filter(pk__in=keys[-ROWS_PER_PAGE:])
                way, page.found = Way.EARLY, shown.order_by(*page.sorting.terms())
            elif len(keys) < page.stop * SELDOM:
                yield Way.LOOKED_UP, self._page_of(self._count, Way.LOOKED_UP)
        yield way, page

    def _page_of(self, count: Count, way: Way) -> Page:
        parts = {
            Way.COUNTED: self._counted,
            Way.EARLY: self._early,
            Way.LOOKED_UP: self._looked_up_and_sorted,
            Way.ALONG_THE_SORT: self._along_the_sort,
        }
        return Pages(parts[way], count, self._sorting).get_page(self._page_number)

    def _counted(self, sorting: Sorting) -> list[QuerySet[Container]]:
        found = self._filtered
        if self.text:
            found = Container.objects.filter(pk__in=[key for key, *_ in self._matches])
        return [self._in_status(found).order_by(*sorting.terms())]

    def _early(self, sorting: Sorting) -> list[QuerySet[Container]]:
        """The rows of other parts come after all of the first."""
        first, *_ = self._in_parts(sorting, lambda found: found)
        found = search.among_the_first(first, self.text, self._people)
        return [found.order_by(*sorting.terms())]

    def _looked_up_and_sorted(self, sorting: Sorting) -> list[QuerySet[Container]]:
        found = search.all_if_few(self._in_status(self._filtered), self.text, self._people)
        return [found.order_by(*sorting.terms())]

    def _along_the_sort(self, sorting: Sorting) -> list[QuerySet[Container]]:
        return self._in_parts(sorting, self._matching)

    def _in_parts(
        self, sorting: Sorting, narrowed: Callable[[QuerySet[Container]], QuerySet[Container]]
    ) -> list[QuerySet[Container]]:
        """The list in parts, each of which is read off the index of the sort."""
        found, in_one_status = self._of_all_plans, bool(self.status)
        if plan := self.filters.get("plan"):
            found = of_plan_row_by_row(found, plan, sorting, in_one_status=in_one_status)
        on_one_node = self.filters.get("node")
        terms = terms_on_one_node(sorting, found.db) if on_one_node else sorting.fields
        found = self._in_status(narrowed(found)).order_by(*terms)
        if not sorting.nullable:
            return [found]
        # Containers on no node are apart, so that the others can be read node by node.
        without = self._in_status(narrowed(self._filtered)).filter(node=None)
        terms = terms_on_no_node(sorting, found.db, in_one_status=in_one_status)
        parts = [found.filter(node__name__isnull=False), without.order_by(*terms)]
        return parts[::-1] if sorting.is_descending else parts

    def _matching(self, found: QuerySet[Container]) -> QuerySet[Container]:
        return search.matching(found, self.text, self._people) if self.text else found

    def _in_status(self, found: QuerySet[Container]) -> QuerySet[Container]:
        if self.status:
            return found.filter(status=self.status)
        return found.exclude(status=Status.DESTROYED)


# What this process has compiled for this person's rights. An open page asks the same every few
# seconds, and to compile its query takes longer than to execute it.
_counts = Kept[CountsByStatus](most=200)
_pages = Kept[Listed](most=200)
_polls = Kept[Poll](most=500)


def _rights(user: User) -> tuple[object, ...]:
    """All of a person that a query depends on."""
    return user.pk, user.administers, user.sees_everything


def unchanged(request: Request) -> bool:
    """Whether the page that polls would show the same now as when it was rendered."""
    seen = request.GET.get("seen", "")
    if seen[:1] not in list(Way):
        return False
    way = Way(seen[0])
    parameters = tuple(item for item in request.GET.items() if item[0] != "seen")
    poll = _polls.get(
        (_rights(request.user), parameters, way), lambda: ContainerList(request).poll(way)
    )
    return poll.digest() == seen
