"""When a page asks whether it has changed; what a page of the list has seen, in a few letters, and
the one query that tells it again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from containers.counting import FAR_ENOUGH, Count, counts_among, counts_in
from containers.digest import digest
from containers.models.container import STOPPING_SINCE, stops_too_long
from containers.statuses import Status
from panel.compiled import CompiledQuery

# As much of a container as tells whether it has changed.
FINGERPRINT = ("pk", "revision", "status", STOPPING_SINCE)
Fingerprint = tuple[int, int, str, datetime | None]
# How the digest of a list begins that is too long to be counted, and of any other.
LONG, SHORT = "l", "s"


def poll_seconds(moving: bool) -> int:
    """Until a page asks again: soon while anything on it is about to change."""
    return 2 if moving else 15


@dataclass(frozen=True)
class Poll:
    """What is asked for a page again and again. Its rows are fingerprints: of a list those on the
    page, each with the counts in one text behind it; of a search all that match; of a search that
    finds too much those, and those on the page, told apart by a flag behind each. `counts` asks
    for the counts alone."""

    asked: CompiledQuery
    counts: Callable[[], dict[str, Count]]
    is_search: bool
    is_long: bool

    def digest(self) -> str:
        """What a page of now would have seen; one query, or two for a list with nothing on it."""
        rows = self.asked.rows()
        if self.is_search and not self.is_long:
            return digest_of_search([], first(rows))
        if self.is_search:
            matches = first(row[:-1] for row in rows if not row[-1])
            return digest_of_search([row[:-1] for row in rows if row[-1]], matches)
        counts = counts_in(rows[0][-1], Status.values) if rows else self.counts()
        return digest_of_list((row[:-1] for row in rows), counts, is_long=self.is_long)


def first(matches: Iterable[Fingerprint]) -> list[Fingerprint]:
    """As many as are counted, and one; the same for the same."""
    return sorted(matches)[: FAR_ENOUGH + 1]


def counts_of(matches: Iterable[Fingerprint]) -> dict[str, Count]:
    """By status, of what `first` has left."""
    return counts_among([status for _, _, status, _ in matches], Status.values)


def digest_of_search(shown: Iterable[Fingerprint], matches: Sequence[Fingerprint]) -> str:
    """Of what is on a page, and of the first that match; where these are all, of them alone."""
    is_long = len(matches) > FAR_ENOUGH
    return digest_of_list(shown if is_long else matches, counts_of(matches), is_long=is_long)


def digest_of_list(shown: Iterable[Fingerprint], counts: dict[str, Count], *, is_long: bool) -> str:
    """Of what is on a page, from whichever end it was read, and of the counts above it."""
    told = [
        (key, revision, stops_too_long(stopping_since))
        for key, revision, _, stopping_since in sorted(shown)
    ]
    return (LONG if is_long else SHORT) + digest(told, counts)
