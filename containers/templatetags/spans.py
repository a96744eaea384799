"""Spans of time and amounts of memory, in the short words of the pages."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

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
    """The `moment` in an element that tells all of it, to the second, to whoever points at it."""
    if at is None:
        return SafeString()
    local = timezone.localtime(at)
    in_full = date_format(local, "j F Y, H:i:s")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', local.isoformat(), in_full, moment(at)
    )


@register.filter
def memory(mib: int) -> str:
    """MiB as people say them: "512 MB", "2 GB"."""
    if mib < 1024:
        return f"{mib} MB"
    return f"{mib / 1024:.1f}".removesuffix(".0") + " GB"


def moment(at: datetime) -> str:
    """When, as short as it can be told: "11:39" today, "24 Nov" this year, "24 Nov 2025"."""
    local, now = timezone.localtime(at), timezone.localtime()
    if local.date() == now.date():
        return date_format(local, "H:i")
    return date_format(local, "j M" if local.year == now.year else "j M Y")
