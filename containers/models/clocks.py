"""Times in the database that are written by clocks which may be wrong. A time further in the future
than the panel ever sets one was written while a clock was ahead: it counts as past, or the work
that waits for it would wait for ever."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q

# More than the clocks of any two machines are expected to differ by.
AHEAD = timedelta(minutes=1)


def latest_plausible(now: datetime, longest: timedelta = timedelta()) -> datetime:
    """The latest time that a correct clock writes where a time is set at most `longest` ahead."""
    return now + longest + AHEAD


def has_come(field: str, now: datetime, longest: timedelta) -> Q:
    """The rows whose `field` is past, or implausible. It is set at most `longest` ahead."""
    return Q(**{f"{field}__lte": now}) | Q(**{f"{field}__gt": latest_plausible(now, longest)})
