"""Indexes that a model cannot declare for one database alone: made by SQL after the migrations,
wherever they are missing.

Of names PostgreSQL keeps trigrams (pg_trgm), and SQLite does (FTS5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connections

if TYPE_CHECKING:
    from django.apps import AppConfig


def make_indexes(sender: AppConfig, using: str, **_: Any) -> None:
    """Called after each migration. One that rebuilds SQLite's table drops its triggers."""
    connection = connections[using]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            for statement in _ON_POSTGRESQL:
                cursor.execute(statement)
            return
        cursor.execute(
            "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' "
            "AND name LIKE 'containers_name_%%'"
        )
        if cursor.fetchone() != (len(_TRIGGERS),):
            for statement in (_NAMES, *_TRIGGERS, _FILL):
                cursor.execute(statement)


_ON_POSTGRESQL = [
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE INDEX IF NOT EXISTS containers_name_trigrams "
    "ON containers_container USING gin (name gin_trgm_ops)",
    "CREATE INDEX IF NOT EXISTS containers_address_begins "
    "ON containers_container (address varchar_pattern_ops)",
    # The smallest to count statuses by. SQLite would read lists off it, and sort them.
    "CREATE INDEX IF NOT EXISTS containers_counted ON containers_container (status) "
    "WHERE withdrawn_at IS NULL",
    # As `icontains` compares them.
    "CREATE INDEX IF NOT EXISTS panel_user_trigrams ON panel_user USING gin "
    "(upper(username::text) gin_trgm_ops, upper(first_name::text) gin_trgm_ops, "
    "upper(last_name::text) gin_trgm_ops)",
]
_NAMES = """CREATE VIRTUAL TABLE IF NOT EXISTS containers_name USING fts5(
    name, content='containers_container', content_rowid='id', tokenize='trigram')"""
_FILL = "INSERT INTO containers_name (containers_name) VALUES ('rebuild')"
_ADD = "INSERT INTO containers_name (rowid, name) VALUES (new.id, new.name);"
_TAKE = """INSERT INTO containers_name (containers_name, rowid, name)
    VALUES ('delete', old.id, old.name);"""
_TRIGGERS = [
    f"""CREATE TRIGGER IF NOT EXISTS containers_name_{name}
        AFTER {when} ON containers_container BEGIN {what} END"""
    for name, when, what in (
        ("added", "INSERT", _ADD),
        ("taken", "DELETE", _TAKE),
        ("changed", "UPDATE OF name", _TAKE + _ADD),
    )
]
