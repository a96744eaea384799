"""Moments that work waits for: one that lies further ahead than any is ever set was written while a
clock was ahead, and counts as come."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q

# The clocks of machines differ by less.
AHEAD = timedelta(minutes=1)


def beyond(now: datetime, longest: timedelta = timedelta()) -> datetime:
    """What is set no further ahead than `longest` never lies after this."""
    return now + longest + AHEAD


def has_come(field: str, now: datetime, longest: timedelta = timedelta()) -> Q:
    """The rows whose `field`, which is set no further ahead than `longest`, is not waited for any
    more."""
    return Q(**{f"{field}__lte": now}) | Q(**{f"{field}__gt": beyond(now, longest)})
