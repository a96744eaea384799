"""What SQLite knows of its own indexes, without which it reads a long list by the wrong one."""

from __future__ import annotations

from time import sleep

from django.db import connection

# Rows of an index that are looked through, so that nobody waits long for it.
MOST = 1_000_000
# Seconds after each index in which waiting writers are let in: they try every 10 ms at least.
PAUSE = 0.05


def analyze() -> None:
    """Look through every index, one after the other: each keeps others from writing, at a
    million rows for a fifth of a second, or one where it has to be fetched from the disk. Does
    nothing on PostgreSQL, which does so by itself.

    A connection that is open already goes by it once it is opened anew; the first time, at once
    (https://www.sqlite.org/lang_analyze.html).
    """
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA analysis_limit = {MOST}")
        cursor.execute("SELECT name FROM sqlite_schema WHERE type = 'index' ORDER BY name")
        for [name] in cursor.fetchall():
            cursor.execute(f"ANALYZE {connection.ops.quote_name(name)}")
            sleep(PAUSE)
