"""The poll of the list of containers: one query tells whether a page would show the same again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from containers.counting import FAR_ENOUGH, Count, counts_among, counts_in
from containers.models.container import STOPPING_SINCE, stops_too_long
from containers.statuses import Status
from containers.views.polling import digest
from panel.compiled import CompiledQuery

# As much of a container as tells whether it has changed.
FINGERPRINT = ("pk", "revision", "status", STOPPING_SINCE)
Fingerprint = tuple[int, int, str, datetime | None]
# The first letter of a digest: whether the list was too long to be counted.
LONG, SHORT = "l", "s"


@dataclass(frozen=True)
class Poll:
    """The query of one page's polls. Its rows are fingerprints, of

    - a list without a search: the rows on the page, each followed by all counts as one text;
    - a search that can be counted: all rows that match;
    - a search that finds more: the rows that match and those on the page, each followed by a flag,
      true for those on the page.

    `counts` asks for the counts alone."""

    query: CompiledQuery
    counts: Callable[[], dict[str, Count]]
    is_search: bool
    is_long: bool

    def digest(self) -> str:
        """What the page would show now, in one query; in two where no row is on it."""
        rows = self.query.rows()
        if self.is_search and not self.is_long:
            return digest_of_search([], first(rows))
        if self.is_search:
            matches = first(row[:-1] for row in rows if not row[-1])
            return digest_of_search([row[:-1] for row in rows if row[-1]], matches)
        counts = counts_in(rows[0][-1], Status.values) if rows else self.counts()
        return digest_of_list((row[:-1] for row in rows), counts, is_long=self.is_long)


def first(matches: Iterable[Fingerprint]) -> list[Fingerprint]:
    """As many as are counted, and one more; always the same of the same matches."""
    return sorted(matches)[: FAR_ENOUGH + 1]


def counts_of(matches: Iterable[Fingerprint]) -> dict[str, Count]:
    """By status, of what `first` has left."""
    return counts_among([status for _, _, status, _ in matches], Status.values)


def digest_of_search(shown: Iterable[Fingerprint], matches: Sequence[Fingerprint]) -> str:
    """Of the rows on a page, and of the first that match; where these are all matches, of them
    alone."""
    is_long = len(matches) > FAR_ENOUGH
    return digest_of_list(shown if is_long else matches, counts_of(matches), is_long=is_long)


def digest_of_list(shown: Iterable[Fingerprint], counts: dict[str, Count], *, is_long: bool) -> str:
    """Of the rows on a page, in whichever order they were read, and of the counts above them."""
    parts = [
        (key, revision, stops_too_long(stopping_since))
        for key, revision, _, stopping_since in sorted(shown)
    ]
    return (LONG if is_long else SHORT) + digest(parts, counts)
