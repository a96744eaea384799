"""What many rows of a page have in common, rendered once."""

from __future__ import annotations

from typing import Any

from django import template
from django.template.context import RequestContext
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

# Stand for the row's own key and name in what is kept: nothing else that is shown has such ones.
KEY = "987654321987654321"
NAME = "\ue000"


@register.simple_tag(takes_context=True)
def alike(context: RequestContext, name: str, row: Any) -> SafeString:
    """A part of a row that tells of its `key`, its `name` and of what its `likeness` is made of,
    and of nothing else. `row` went through `with_actions`.

    A page of many rows puts an empty dictionary `parts` into its context.
    """
    parts: dict[object, str] = context.get("parts", {})  # type: ignore[assignment]
    common = name, row.likeness
    if common not in parts:
        assert context.template is not None
        part = context.template.engine.get_template(name)
        with context.push(key=KEY, name=NAME, row=row, container=row):
            parts[common] = part.render(context)
    filled = parts[common].replace(KEY, row.key).replace(NAME, escape(row.name))
    return mark_safe(filled)  # noqa: S308  # a number, and a name that was escaped
