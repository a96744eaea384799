"""Icons, put together once."""

from __future__ import annotations

from functools import cache

from django import template
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
@cache
def icon(name: str) -> SafeString:
    """The icon of that name in the sprite. Every template has this tag without loading it."""
    return render_to_string("components/icon.html", {"name": name})
