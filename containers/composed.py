"""A query that Django composes once, to be asked again and again by any thread."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import QuerySet


class Composed:
    """Asks for the rows of a queryset of values as it was when it was composed: what is in it of
    the time or of a person stays."""

    def __init__(self, rows: QuerySet[Any, Any]) -> None:
        self._query, self._alias = rows.query, rows.db
        compiler = self._query.get_compiler(self._alias)
        try:
            self._sql, self._params = compiler.as_sql()
        except EmptyResultSet:
            self._sql, self._params, self._columns = "", (), []
        else:
            self._columns = [column for column, *_ in compiler.select]

    def rows(self) -> list[tuple[Any, ...]]:
        """What there is now, in one query; in none where nothing can ever be."""
        if not self._sql:
            return []
        # No connection is kept: each belongs to a thread, and ends with it.
        compiler = self._query.get_compiler(self._alias)
        with compiler.connection.cursor() as cursor:
            cursor.execute(self._sql, self._params)
            read = cursor.fetchall()
        return list(
            map(tuple, compiler.apply_converters(read, compiler.get_converters(self._columns)))
        )
