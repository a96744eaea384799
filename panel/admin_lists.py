"""What the query string of a list in the Django admin may ask for, and how far it is counted."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import ModelAdmin, ShowFacets
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import FieldDoesNotExist
from django.core.paginator import Paginator
from django.db import DataError
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest
from django.utils.functional import cached_property

from containers.counting import Count, how_many


class OpenEndedCount(int):
    """As many rows as were counted, of which there are more; as text "1,000+"."""

    def __str__(self) -> str:
        return str(Count(self, more=True))


class BoundedPaginator(Paginator):
    """Django's paginator, but a list is counted only as far as `how_many` counts. The rows behind
    that are reached by filtering."""

    @cached_property
    def count(self) -> int:
        found: Any = self.object_list
        count = how_many(found)
        return OpenEndedCount(count.number) if count.more else count.number


class GuardedAdmin(ModelAdmin):
    """The base of every ModelAdmin here. A list can be filtered by the columns that it shows, or
    has a filter for, and by no other: it would tell what is in them. A value that no row can have
    (the year 99999) is treated as Django treats an unknown filter: the whole list is shown."""

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        name, *how = lookup.split(LOOKUP_SEP)
        try:
            column = self.opts.get_field(name)
        except FieldDoesNotExist:  # a filter of the list's own
            return super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]
        is_shown = column.name in self._shown_columns() or column == self.opts.pk
        # An invalid pattern is an error of the database, and would look like an outage.
        is_pattern = not {"regex", "iregex"}.isdisjoint(how)
        allowed = super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]
        return is_shown and not is_pattern and allowed

    def _shown_columns(self) -> set[Any]:
        filters = {getattr(one, "parameter_name", one) for one in self.list_filter}
        return {*self.list_display, *filters, self.date_hierarchy}

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        try:
            return super().get_changelist_instance(request)
        except (ValueError, OverflowError, DataError) as error:
            raise IncorrectLookupParameters from error


class BoundedAdmin(GuardedAdmin):
    """Rows of which there may be millions: no query of their list reads all of them, unless it is
    sorted by a column without an index."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
