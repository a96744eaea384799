"""What the lists of the Django admin can be asked for in their address."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import ModelAdmin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import FieldDoesNotExist
from django.db import DataError
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest


class Listed(ModelAdmin):
    """Rows whose list tells of no column but those that it shows or filters by, and answers what no
    row can have (the year 99999) as Django answers what makes no sense: by the whole list."""

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        name, *how = lookup.split(LOOKUP_SEP)
        try:
            column = self.opts.get_field(name)
        except FieldDoesNotExist:  # a filter of the list's own
            return super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]
        is_told = column.name in self._told() or column == self.opts.pk
        # A pattern that is none looks like a database that is broken.
        is_pattern = not {"regex", "iregex"}.isdisjoint(how)
        allowed = super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]
        return is_told and not is_pattern and allowed

    def _told(self) -> set[Any]:
        filters = {getattr(one, "parameter_name", one) for one in self.list_filter}
        return {*self.list_display, *filters, self.date_hierarchy}

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        try:
            return super().get_changelist_instance(request)
        except (ValueError, OverflowError, DataError) as error:
            raise IncorrectLookupParameters from error
