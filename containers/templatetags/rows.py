"""What many rows of a page have in common, rendered once."""

from __future__ import annotations

from typing import Any

from django import template
from django.template.context import RequestContext
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

# Stands for the row's own key while its template is rendered: a number, to be part of an address,
# that nothing else has.
KEY = "987654321987654321"


@register.simple_tag(takes_context=True)
def alike(context: RequestContext, name: str, row: Any) -> SafeString:
    """A row whose template shows its cells by their names, the parts of its `likeness`, and nothing
    else. `row` is one of `as_rows`.

    A page of many rows puts an empty dictionary `parts` into its context.
    """
    parts: dict[object, str] = context.get("parts", {})  # type: ignore[assignment]
    if row.likeness not in parts:
        parts[row.likeness] = _form(context, name, row)
    filled: str = parts[row.likeness] % row.cells
    return mark_safe(filled)  # noqa: S308  # the cells are escaped


def _form(context: RequestContext, name: str, row: Any) -> str:
    """The rendered row, with its cells left open: `%(name)s`."""
    assert context.template is not None
    # In letters of the private use area, which no template has.
    blanks = {cell: f"\ue000{cell}\ue001" for cell in row.cells} | {"key": KEY}
    with context.push(**blanks, row=row, container=row):
        form: str = context.template.engine.get_template(name).render(context)
    form = form.replace("%", "%%")
    for cell, blank in blanks.items():
        form = form.replace(blank, f"%({cell})s")
    return form
