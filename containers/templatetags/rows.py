"""Rows of a table: the HTML that many rows share is rendered once, and filled in for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from html import escape
from typing import Any

from django import template
from django.template import Template
from django.template.context import Context
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

# Stands for the row's own key while its template is rendered: a number, to be part of an address,
# that nothing else has.
KEY = "987654321987654321"


@register.simple_tag(takes_context=True)
def table_rows(context: Context, name: str, rows: Iterable[Any]) -> SafeString:
    """Render these rows by a template that is given their `looks`, a value that can be compared. Of
    all else it is only given names to be filled in: of the row's `cells`, of `here`, and of the
    CSRF token of its forms.

    Two stopped containers look alike, so `<tr id="container-{{ key }}" data-status="{{
    looks.status }}"><td>{{ name }}</td></tr>` is rendered for them once, with the names of the
    cells still open: `<tr id="container-%(key)s" data-status="stopped"><td>%(name)s</td></tr>`.
    The row with the cells `{"key": "7", "name": "web-1"}` fills that; so does the other, and any
    later one of these looks in this process.
    """
    assert context.template is not None
    row_template = context.template.engine.get_template(name)
    of_page = {"here": escape(context["here"]), "csrf_token": str(context["csrf_token"])}
    filled = [_filled(row_template, row.looks, row.cells | of_page) for row in rows]
    return mark_safe("".join(filled))  # noqa: S308  # the cells are escaped


def _filled(row_template: Template, looks: Any, cells: Mapping[str, str]) -> str:
    return _form(row_template, looks, tuple(cells)) % cells


# Of one template there are a few for each status; an engine that is set up anew has new ones.
@lru_cache(maxsize=1_000)
def _form(row_template: Template, looks: Any, cells: tuple[str, ...]) -> str:
    """The rendered row, with its cells left open: `%(name)s`."""
    # In letters of the private use area, which no template has.
    blanks = {cell: f"\ue000{cell}\ue001" for cell in cells} | {"key": KEY}
    form: str = row_template.render(Context({**blanks, "looks": looks}))
    form = form.replace("%", "%%")
    for cell, blank in blanks.items():
        form = form.replace(blank, f"%({cell})s")
    return form
