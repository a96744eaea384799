"""SQLite's indexes of the names of containers and people: any three letters of one are found.

The models are of the FTS5 tables that `raw_indexes` makes and its triggers keep. There are none on
PostgreSQL.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.lookups import Lookup


class Trigrams(models.TextField):
    """A column that FTS5 searches. The lookup `match` takes a phrase of FTS5, in quotes."""


@Trigrams.register_lookup
class Match(Lookup):
    lookup_name = "match"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        left, left_params = self.process_lhs(compiler, connection)
        right, right_params = self.process_rhs(compiler, connection)
        return f"{left} MATCH {right}", (*left_params, *right_params)


class NameIndex(models.Model):
    """The names of containers. A model, so that queries join it and read no more of it than they
    need: three letters may be in a third of all names."""

    container = models.OneToOneField(
        "containers.Container", models.DO_NOTHING, primary_key=True, db_column="rowid"
    )
    # FTS5's hidden column that bears the name of the table.
    name = Trigrams(db_column="containers_name")

    class Meta:
        managed = False
        db_table = "containers_name"

    def __str__(self) -> str:
        return f"names like {self.container}"


class PeopleIndex(models.Model):
    """The user names, first and last names of people."""

    person = models.OneToOneField(
        "panel.User", models.DO_NOTHING, primary_key=True, db_column="rowid"
    )
    names = Trigrams(db_column="panel_names")

    class Meta:
        managed = False
        db_table = "panel_names"

    def __str__(self) -> str:
        return f"names like {self.person}"
