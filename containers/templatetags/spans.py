"""Times, spans of time and amounts of memory, in the short words of the pages."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

# Formats of Django's `date` filter, two of them by their names in panel/formats.
DAY, DAY_OF_ANOTHER_YEAR = "j M", "DATE_FORMAT"
MINUTE, SECOND = "H:i", "H:i:s"
IN_FULL, CLOCK = "DATETIME_FORMAT", "H:i:s T"

UNITS = [
    (timedelta(days=1), "d"),
    (timedelta(hours=1), "h"),
    (timedelta(minutes=1), "min"),
    (timedelta(seconds=1), "s"),
]


@register.filter
def since(at: datetime | None) -> SafeString:
    """How long ago, rounded down, in an element that goes on counting in the browser:
    "4 s", "26 min", "3 h", "12 d"."""
    if at is None:
        return SafeString()
    passed = max(timezone.now() - at, timedelta(0))
    length, unit = next((u for u in UNITS if passed >= u[0]), UNITS[-1])
    line = f'<time data-since datetime="{at.isoformat()}">{passed // length} {unit}</time>'
    return mark_safe(line)  # noqa: S308  # a time and a number


@register.filter
def when(at: datetime | None) -> SafeString:
    """As short as it can be, to the minute: "11:39" today, "24 Nov, 11:39" this year, "24 Nov
    2025, 11:39". As those below, in an element whose title has all of it."""
    if at is None:
        return SafeString()
    minute = _formatted(at, MINUTE)
    is_today = timezone.localtime(at).date() == timezone.localdate()
    return _element(at, minute if is_today else f"{day(at)}, {minute}")


@register.filter
def when_exactly(at: datetime) -> SafeString:
    """To the second, under a head that names the zone: "24 Nov, 11:39:07"."""
    return _element(at, f"{day(at)}, {_formatted(at, SECOND)}")


@register.filter
def in_full(at: datetime) -> SafeString:
    """ "24 Nov 2026, 11:39:07 UTC"."""
    return _element(at, _formatted(at, IN_FULL))


@register.filter
def clock(at: datetime) -> SafeString:
    """What is about to come: "11:39:07 UTC"."""
    return _element(at, _formatted(at, CLOCK))


def _element(at: datetime, text: str) -> SafeString:
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        timezone.localtime(at).isoformat(), _formatted(at, IN_FULL), text,
    )  # fmt: skip


def _formatted(at: datetime, format_string: str) -> str:
    return date_format(timezone.localtime(at), format_string)


def day(at: datetime) -> str:
    """ "24 Nov" this year, "24 Nov 2025"."""
    is_this_year = timezone.localtime(at).year == timezone.localdate().year
    return _formatted(at, DAY if is_this_year else DAY_OF_ANOTHER_YEAR)


@register.filter
def memory(mib: int) -> str:
    """MiB as people say them: "512 MB", "2 GB"."""
    if mib < 1024:
        return f"{mib} MB"
    return f"{mib / 1024:.1f}".removesuffix(".0") + " GB"
