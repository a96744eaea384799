"""Every address of the panel, as its URL table has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver, reverse


@dataclass(frozen=True)
class Address:
    """One line of the table. `name` is what `reverse` takes, `route` how it is written there."""

    name: str
    route: str
    view: Any
    parameters: tuple[str, ...]

    def at(self, **known: object) -> str:
        """The address with those of the values that it has a place for."""
        return reverse(self.name, kwargs={each: known[each] for each in self.parameters})


def addresses() -> list[Address]:
    """All but the Django admin's, in the order of the table, each name once."""
    return [address for address in _named() if not address.name.startswith("admin:")]


def admin_addresses() -> list[Address]:
    """Those of the Django admin, which follow from what is registered there."""
    return [address for address in _named() if address.name.startswith("admin:")]


def _named() -> list[Address]:
    found: dict[str, Address] = {}
    for address in _walk(get_resolver().url_patterns):
        found.setdefault(address.name, address)
    return list(found.values())


def _walk(
    patterns: Sequence[URLPattern | URLResolver],
    space: str = "",
    route: str = "",
    parameters: tuple[str, ...] = (),
) -> Iterator[Address]:
    for pattern in patterns:
        here = route + str(pattern.pattern)
        known = (*parameters, *pattern.pattern.regex.groupindex)
        if isinstance(pattern, URLResolver):
            inner = f"{space}{pattern.namespace}:" if pattern.namespace else space
            yield from _walk(pattern.url_patterns, inner, here, known)
        elif pattern.name or space != "admin:":
            # The admin's two nameless lines send on to those that have a name.
            yield Address(f"{space}{pattern.name or here}", here, pattern.callback, known)
