"""The ids that a database gives out: how far it has come, and which it may not give any more."""

from __future__ import annotations

from django.db import connection, models, transaction

# So many ids are left out after a restore: more than were given out since the back-up was made, as
# those of containers are still on nodes, and those of orders and payments with the gateway.
LEAP = 100_000


def last_given(model: type[models.Model]) -> int:
    """The highest id that a row of this model was given, or that is reserved."""
    with connection.cursor() as cursor:
        cursor.execute(_LAST[connection.vendor].format(table=model._meta.db_table))
        found = cursor.fetchone()
    return int(found[0]) if found else 0


_LAST = {
    "postgresql": "SELECT last_value - (NOT is_called)::int FROM {table}_id_seq",
    "sqlite": "SELECT seq FROM sqlite_sequence WHERE name = '{table}'",
}


@transaction.atomic
def reserve(model: type[models.Model], number: int) -> None:
    """See to it that no row of this model made from now on gets an id up to `number`. Call it
    while no other row is locked."""
    with connection.cursor() as cursor:
        for statement in reserving(model, number):
            cursor.execute(statement)


def reserving(model: type[models.Model], number: int) -> list[str]:
    """The statements of `reserve`, for a transaction that is not Django's."""
    values = {"table": model._meta.db_table, "number": number}
    return [statement.format(**values) for statement in _RESERVE[connection.vendor]]


_RESERVE = {
    "postgresql": (
        # Nobody may be given an id between the question and the change.
        "LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE",
        "SELECT setval('{table}_id_seq', {number}) "
        "FROM {table}_id_seq WHERE last_value <= {number}",
    ),
    "sqlite": (
        "INSERT INTO sqlite_sequence (name, seq) SELECT '{table}', 0 WHERE "
        "NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = '{table}')",
        "UPDATE sqlite_sequence SET seq = max(seq, {number}) WHERE name = '{table}'",
    ),
}
