"""SQL that is executed again and again: compiled once in a process, by Django or by hand, and on
PostgreSQL prepared once on each connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from threading import local
from typing import Any, Generic, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import NotSupportedError, connections, router
from django.db.models import Model, QuerySet


class CompiledQuery:
    """A queryset of `values_list()`, compiled to SQL when the object is made. Its parameters are
    part of that: a moment or a person in the query stays the same."""

    def __init__(self, rows: QuerySet[Any, Any]) -> None:
        self._alias = rows.db
        compiler = rows.query.get_compiler(self._alias)
        try:
            sql, params = compiler.as_sql()
        except EmptyResultSet:
            self._sql = ""
            return
        self._sql, self._params = inlined(compiler.connection, sql, params)
        self._columns = _Columns([column for column, *_ in compiler.select])

    def rows(self) -> list[tuple[Any, ...]]:
        """The rows that the query finds now. Nothing is asked if Django knows that it never finds
        any."""
        if not self._sql:
            return []
        # No connection is kept: each belongs to a thread, and ends with it.
        connection = connections[self._alias]
        return self._columns.read(execute(connection, self._sql, self._params), connection)


class ModelReader:
    """Makes instances of these models from a hand-written statement that selects `columns`: all
    columns of the first, then all of the next."""

    def __init__(self, *models: type[Model]) -> None:
        self._alias = router.db_for_write(models[0])
        self._models = [(each, [f.attname for f in each._meta.concrete_fields]) for each in models]
        fields = [field for model in models for field in model._meta.concrete_fields]
        self.columns = ", ".join(f"{each.model._meta.db_table}.{each.column}" for each in fields)
        self._columns = _Columns([field.cached_col for field in fields])

    def read(self, statement: str, params: Any) -> list[tuple[Any, ...]]:
        """An instance of each model for every row of the statement."""
        connection = connections[self._alias]
        rows = self._columns.read(execute(connection, statement, params), connection)
        return [instances(self._models, row, self._alias) for row in rows]


def instances(
    models: Iterable[tuple[type[Model], Sequence[str]]], row: Iterable[Any], alias: str
) -> tuple[Any, ...]:
    """An instance of each model from the fields named, which follow each other in the row: of each
    model its key first, and all in the order of the model. None in place of one without a key."""
    values = iter(row)
    made = []
    for model, names in models:
        own = list(islice(values, len(names)))
        made.append(None if own[0] is None else model.from_db(alias, names, own))
    return tuple(made)


class _Columns:
    """Converts the values of these columns as Django does. The converters are kept for the
    connection of each thread."""

    def __init__(self, columns: Iterable[Any]) -> None:
        self._columns = list(columns)
        self._kept = local()

    def read(self, rows: Iterable[Sequence[Any]], connection: Any) -> list[tuple[Any, ...]]:
        if not (converters := self._converters(connection)):
            return list(map(tuple, rows))
        return [self._converted(list(row), converters, connection) for row in rows]

    @staticmethod
    def _converted(row: list[Any], converters: Any, connection: Any) -> tuple[Any, ...]:
        for place, column, of_column in converters:
            if row[place] is not None:
                for convert in of_column:
                    row[place] = convert(row[place], column, connection)
        return tuple(row)

    def _converters(self, connection: Any) -> list[tuple[int, Any, list[Any]]]:
        """The converters of the columns that have some, in the order in which Django applies
        them."""
        if getattr(self._kept, "connection", None) is not connection:
            self._kept.connection, ops = connection, connection.ops
            made = [
                (
                    place,
                    column,
                    [*ops.get_db_converters(column), *column.get_db_converters(connection)],
                )
                for place, column in enumerate(self._columns)
            ]
            self._kept.converters = [each for each in made if each[2]]
        kept: list[tuple[int, Any, list[Any]]] = self._kept.converters
        return kept


Compiled = TypeVar("Compiled")


class Kept(Generic[Compiled]):
    """Queries that this process has compiled, by keys that hold everything that they depend on.
    When there are `most`, all are forgotten."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._compiled: dict[object, Compiled] = {}

    def get(self, key: object, compiled: Callable[[], Compiled]) -> Compiled:
        """The query of this key; `compiled` makes it if there is none."""
        kept = self._compiled.get(key)
        if kept is None:
            if len(self._compiled) >= self._most:
                self._compiled.clear()
            kept = self._compiled[key] = compiled()
        return kept


def inlined(connection: Any, statement: str, params: Any) -> tuple[str, Any]:
    """The statement and the parameters to execute it with. On PostgreSQL they are written into the
    statement: it plans badly for a LIMIT that it does not know."""
    if connection.vendor != "postgresql":
        return statement, params
    with connection.cursor() as cursor:
        return cursor.mogrify(statement, params), None


def execute(connection: Any, statement: str, params: Any) -> Sequence[Sequence[Any]]:
    """The rows of a statement. On PostgreSQL psycopg prepares it after a few executions
    (`prepare_threshold`), as planning takes as long as answering."""
    if connection.vendor == "postgresql":
        try:
            with _preparing(connection) as cursor:
                cursor.execute(statement, params)
                return cursor.fetchall()  # type: ignore[no-any-return]
        except NotSupportedError:
            # A migration has changed the type of a column since.
            if connection.in_atomic_block:
                raise
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall()  # type: ignore[no-any-return]


def _preparing(connection: Any) -> Any:
    """A cursor as Django makes it with the option `server_side_binding`, which preparing needs. It
    is off elsewhere: with it PostgreSQL refuses a statement if it cannot tell the type of a
    parameter."""
    from django.db.backends.postgresql.base import ServerBindingCursor

    connection.ensure_connection()
    with connection.wrap_database_errors:
        return connection._prepare_cursor(ServerBindingCursor(connection.connection))  # type: ignore[call-arg]
