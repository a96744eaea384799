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

# As much of a container as tells whether it has changed.
FINGERPRINT = ("pk", "revision", "status", STOPPING_SINCE)
Fingerprint = tuple[int, int, str, datetime | None]


class Way(StrEnum):
    """How the rows of a page were read; the first letter of its digest, so that its polls read them
    the same way. All find the same rows, but each fits other lists."""

    COUNTED = "s"
    "All that was found is counted, and sorted: of what is soon counted to its end."
    ALONG_THE_SORT = "l"
    "Off the index of the sort: of a longer list."
    EARLY = "e"
    "Among the first rows of the sort: of a search that finds much."
    LOOKED_UP = "u"
    "By the indexes that the search goes by, and sorted: where nothing of it comes early."


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
    way: Way

    def digest(self) -> str:
        """What the page would show now, in one query; in two where no row is on it."""
        rows = self.query.rows()
        if self.is_search and self.way is Way.COUNTED:
            return digest_of_search([], first(rows), self.way)
        if self.is_search:
            matches = first(row[:-1] for row in rows if not row[-1])
            return digest_of_search([row[:-1] for row in rows if row[-1]], matches, self.way)
        counts = counts_in(rows[0][-1], Status.values) if rows else self.counts()
        return digest_of_list((row[:-1] for row in rows), counts, self.way)


def first(matches: Iterable[Fingerprint]) -> list[Fingerprint]:
    """As many as are counted, and one more; always the same of the same matches."""
    return sorted(matches)[: FAR_ENOUGH + 1]


def counts_of(matches: Iterable[Fingerprint]) -> dict[str, Count]:
    """By status, of what `first` has left."""
    return counts_among([status for _, _, status, _ in matches], Status.values)


def digest_of_search(shown: Iterable[Fingerprint], matches: Sequence[Fingerprint], way: Way) -> str:
    """Of the rows on a page, and of the first that match; where these are all matches, of them
    alone."""
    all_match = len(matches) <= FAR_ENOUGH
    return digest_of_list(matches if all_match else shown, counts_of(matches), way)


def digest_of_list(shown: Iterable[Fingerprint], counts: dict[str, Count], way: Way) -> str:
    """Of the rows on a page, in whichever order they were read, and of the counts above them."""
    parts = [
        (key, revision, stops_too_long(stopping_since))
        for key, revision, _, stopping_since in sorted(shown)
    ]
    return way + digest(parts, counts)
