"""Whole rows read off a statement that is written out: what Django would read, and nothing is
composed for it."""

from __future__ import annotations

from itertools import islice
from typing import Any

from django.db import connections, router
from django.db.models import Model


class Reader:
    """Reads rows of these models, which a statement has side by side as `columns`."""

    def __init__(self, *models: type[Model]) -> None:
        self._alias = router.db_for_write(models[0])
        self._models = [(each, [f.attname for f in each._meta.concrete_fields]) for each in models]
        fields = [field for model in models for field in model._meta.concrete_fields]
        self.columns = ", ".join(f"{each.model._meta.db_table}.{each.column}" for each in fields)
        connection = connections[self._alias]
        self._converted = [
            (place, field.cached_col)
            for place, field in enumerate(fields)
            if connection.ops.get_db_converters(field.cached_col)
            or field.get_db_converters(connection)
        ]

    def read(self, statement: str, params: Any) -> list[tuple[Any, ...]]:
        """A row of each model for every row of the statement."""
        connection = connections[self._alias]
        with connection.cursor() as cursor:
            cursor.execute(statement, params)
            return [self._as_models(list(row), connection) for row in cursor.fetchall()]

    def _as_models(self, row: list[Any], connection: Any) -> tuple[Any, ...]:
        for place, column in self._converted:
            for convert in connection.ops.get_db_converters(column):
                row[place] = convert(row[place], column, connection)
            for convert in column.get_db_converters(connection):
                row[place] = convert(row[place], column, connection)
        values = iter(row)
        return tuple(
            model.from_db(self._alias, names, list(islice(values, len(names))))
            for model, names in self._models
        )
