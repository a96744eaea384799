"""Search among containers: what a text may mean, and the indexes that find it.

A name is found by three letters or more that stand anywhere in it, or by its first one or two.
PostgreSQL keeps trigrams of the names (pg_trgm), and SQLite does (FTS5); a model can declare
neither, so both are made after the migrations, wherever they are missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.db import connections
from django.db.models import BooleanField, F, Func, Q, QuerySet, Subquery

from containers.models import Container
from panel.models import User

if TYPE_CHECKING:
    from django.apps import AppConfig

# What a trigram index can find anywhere in a name.
SHORTEST = 3
LARGEST_ID = 2**63 - 1


class Search:
    """A text to be found among containers, and what it may mean."""

    def __init__(self, text: str, alias: str) -> None:
        self._text = text
        self._alias = alias

    def matching(self, found: QuerySet[Container]) -> QuerySet[Container]:
        """Those of the found that match, told row by row: for a text that matches many."""
        condition = in_name(self._text) | Q(customer__in=people(self._text))
        for meaning in self._others:
            condition |= meaning
        return found.filter(condition)

    def looked_up(self, found: QuerySet[Container], most: int) -> QuerySet[Container]:
        """The same, looked up in the indexes: at most so many for each meaning of the text."""
        meanings = [named(self._text, self._alias), of_people(self._text, self._alias)]
        keys = keys_of_any(found, [*meanings, *self._others], most)
        return Container.objects.filter(pk__in=keys).order_by()

    @cached_property
    def _others(self) -> list[Q]:
        """An address, a number ("104" or "ct-104"), that of its order ("order 104")."""
        text, meanings = self._text, []
        if re.fullmatch(r"[0-9a-f.:]+", text):
            sqlite = connections[self._alias].vendor == "sqlite"
            begins = _beginning("address", text) if sqlite else Q(address__startswith=text)
            meanings.append(begins)
        if (number := number_in(text, "ct-")) is not None:
            meanings.append(Q(pk=number))
        if text.lower().startswith("order") and (number := number_in(text, "order")) is not None:
            meanings.append(Q(order=number))
        return meanings


def number_in(text: str, prefix: str = "") -> int | None:
    """The number that a text says, with or without these letters before it; None for another
    text, and where no row has so large a number."""
    digits = text.lower().removeprefix(prefix).strip(" #")
    # Python takes no number of thousands of digits out of a text.
    if not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(LARGEST_ID))):
        return None
    return number if (number := int(digits)) <= LARGEST_ID else None


def keys_of_any(found: QuerySet[Any], meanings: Iterable[Q], most: int) -> QuerySet[Any, Any]:
    """The keys of those with at least one of the meanings, each looked up in an index of its own;
    at most so many for each."""
    everything: QuerySet[Any] = found.model._default_manager.order_by()
    keys = [
        everything.filter(pk__in=found.filter(meaning).order_by().values("pk")[:most]).values("pk")
        for meaning in meanings
    ]
    return keys[0].union(*keys[1:])


def named(text: str, alias: str, of: str = "") -> Q:
    """Containers with this in their name, as the index of the names finds them; or what is
    theirs, `of="container__"`."""
    part = text.lower()
    if connections[alias].vendor != "sqlite":
        return in_name(text, of)
    if len(part) < SHORTEST:
        return _beginning(f"{of}name", part)
    phrase = part.replace('"', '""')
    return Q(**{f"{of}nameindex__name__match": f'"{phrase}"'})


def people(text: str) -> QuerySet[User, Any]:
    """The keys of those whose name the text is in, or whose address it is. Everybody is looked
    through, and so for no more than the text can mean."""
    meant = Q(username__icontains=text)
    if " " in text:
        meant |= Q(whole_name__icontains=text)
    else:
        meant |= Q(first_name__icontains=text) | Q(last_name__icontains=text)
    if "@" in text:
        meant |= Q(email__iexact=text)
    return User.objects.with_whole_name().filter(meant).order_by().values("pk")


def of_people(text: str, alias: str) -> Q:
    """What they have as customers, looked up for one after the other."""
    if connections[alias].vendor == "sqlite":
        return Q(customer__in=people(text))
    # As an array: PostgreSQL takes those that a query may find for many, and reads everything.
    theirs = Func(
        F("customer_id"), _AnyOf(people(text)), arg_joiner=" = ", template="(%(expressions)s)",
        output_field=BooleanField(),
    )  # fmt: skip
    return Q(theirs)


class _AnyOf(Subquery):
    template = "ANY(ARRAY(%(subquery)s))"


def in_name(text: str, of: str = "") -> Q:
    """The same, told row by row."""
    part = text.lower()
    where = "contains" if len(part) >= SHORTEST else "startswith"
    return Q(**{f"{of}name__{where}": part})


def _beginning(field: str, text: str) -> Q:
    """As a range: SQLite's LIKE knows no capitals, and so does not use an index that does."""
    return Q(**{f"{field}__gte": text, f"{field}__lt": f"{text}\U0010ffff"})


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
