"""Indexes that a model cannot declare for one database alone: made by SQL after the migrations,
wherever they are missing.

Both databases keep the trigrams of the names of containers and people: PostgreSQL by pg_trgm,
SQLite by FTS5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connections

if TYPE_CHECKING:
    from django.apps import AppConfig


def make_indexes(sender: AppConfig, using: str, **_: Any) -> None:
    """Called after each `migrate`: a migration that rebuilds SQLite's table drops its triggers."""
    connection = connections[using]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            for statement in _ON_POSTGRESQL:
                cursor.execute(statement)
            return
        for name, table, columns in _ON_SQLITE:
            cursor.execute(
                "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE %s",
                [f"{name}_%"],
            )
            if cursor.fetchone() != (len(_TRIGGERS),):
                for statement in _trigrams(name, table, columns):
                    cursor.execute(statement)


def _trigrams(name: str, table: str, columns: list[str]) -> list[str]:
    new, old = ([f"{row}.{column}" for column in columns] for row in ("new", "old"))
    parts = {
        "name": name, "table": table,
        "columns": ", ".join(columns), "new": ", ".join(new), "old": ", ".join(old),
    }  # fmt: skip
    return [statement.format(**parts) for statement in (_CREATE, *_TRIGGERS, _FILL)]


_ON_POSTGRESQL = [
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE INDEX IF NOT EXISTS containers_name_trigrams "
    "ON containers_container USING gin (name gin_trgm_ops)",
    "CREATE INDEX IF NOT EXISTS containers_address_begins "
    "ON containers_container (address varchar_pattern_ops)",
    # The smallest to count statuses by. Not on SQLite, which would read lists off it and sort them.
    "CREATE INDEX IF NOT EXISTS containers_counted ON containers_container (status) "
    "WHERE withdrawn_at IS NULL",
    # As `icontains` compares them.
    "CREATE INDEX IF NOT EXISTS panel_user_trigrams ON panel_user USING gin "
    "(upper(username::text) gin_trgm_ops, upper(first_name::text) gin_trgm_ops, "
    "upper(last_name::text) gin_trgm_ops)",
]
# FTS5 tables of columns that stay in tables of ours: name, table, columns.
_ON_SQLITE = [
    ("containers_name", "containers_container", ["name"]),
    ("panel_names", "panel_user", ["username", "first_name", "last_name"]),
]
_CREATE = """CREATE VIRTUAL TABLE IF NOT EXISTS {name} USING fts5(
    {columns}, content='{table}', content_rowid='id', tokenize='trigram')"""
_FILL = "INSERT INTO {name} ({name}) VALUES ('rebuild')"
_ADD = "INSERT INTO {name} (rowid, {columns}) VALUES (new.id, {new});"
_TAKE = "INSERT INTO {name} ({name}, rowid, {columns}) VALUES ('delete', old.id, {old});"
_TRIGGERS = [
    f"""CREATE TRIGGER IF NOT EXISTS {{name}}_{name}
        AFTER {when} ON {{table}} BEGIN {what} END"""
    for name, when, what in (
        ("added", "INSERT", _ADD),
        ("taken", "DELETE", _TAKE),
        ("changed", "UPDATE OF {columns}", _TAKE + _ADD),
    )
]
