"""The poll of the list of containers: one query tells whether a page would show the same again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from containers.counting import FAR_ENOUGH, Count, counts_among, counts_in
from containers.models.container import STOPPING_SINCE, stops_too_long
from containers.statuses import Status
from containers.views.polling import digest
from panel.compiled import CompiledQuery

# The columns of a container that tell whether its row has changed.
FINGERPRINT = ("pk", "revision", "status", STOPPING_SINCE)
Fingerprint = tuple[int, int, str, datetime | None]


class Way(StrEnum):
    """How the rows of a page were read. All ways find the same rows; each is the quickest for other
    lists. A digest begins with it, so that the polls of a page read it in the same way."""

    COUNTED = "s"
    "The list is short enough to be counted: all its rows are found, then sorted."
    ALONG_THE_SORT = "l"
    "Along the index of the sort, until the page is full."
    EARLY = "e"
    "A search: among the first rows of the sort, where there were enough matches."
    LOOKED_UP = "u"
    "A search with hardly any matches there: all are looked up by its own indexes, then sorted."


@dataclass(frozen=True)
class Poll:
    """The query of one page's polls. It returns the fingerprints

    - for a list without a search: of the rows on the page, each followed by all counts as one text;
    - for a search that can be counted: of all matches;
    - for a search with more matches: of the first matches and of the rows on the page, each
      followed by a flag, which is true for those on the page.

    `counts` asks for the counts alone."""

    query: CompiledQuery
    counts: Callable[[], dict[str, Count]]
    is_search: bool
    way: Way

    def digest(self) -> str:
        """The digest of what the page would show now, in one query; in two if it has no row."""
        rows = self.query.rows()
        if self.is_search and self.way is Way.COUNTED:
            return digest_of_search([], first(rows), self.way)
        if self.is_search:
            matches = first(row[:-1] for row in rows if not row[-1])
            return digest_of_search([row[:-1] for row in rows if row[-1]], matches, self.way)
        counts = counts_in(rows[0][-1], Status.values) if rows else self.counts()
        return digest_of_list((row[:-1] for row in rows), counts, self.way)


def first(matches: Iterable[Fingerprint]) -> list[Fingerprint]:
    """As many matches as are counted, and one more; for the same matches always the same ones."""
    return sorted(matches)[: FAR_ENOUGH + 1]


def counts_of(matches: Iterable[Fingerprint]) -> dict[str, Count]:
    """The counts by status of what `first` returns."""
    return counts_among([status for _, _, status, _ in matches], Status.values)


def digest_of_search(shown: Iterable[Fingerprint], matches: Sequence[Fingerprint], way: Way) -> str:
    """The digest of the rows on a page and of the first matches; if these are all matches, of them
    alone."""
    all_match = len(matches) <= FAR_ENOUGH
    return digest_of_list(matches if all_match else shown, counts_of(matches), way)


def digest_of_list(shown: Iterable[Fingerprint], counts: dict[str, Count], way: Way) -> str:
    """The digest of the rows on a page, in whichever order they come, and of the counts above
    them."""
    parts = [
        (key, revision, stops_too_long(stopping_since))
        for key, revision, _, stopping_since in sorted(shown)
    ]
    return way + digest(parts, counts)
