"""The text of a file as a browser's field can hold it, and back again, byte for byte.

A field of a browser has line endings of its own, and no byte-order mark. So a file is shown without
the mark and with plain line endings, and gets both back, as they were, when it is saved.
"""

from __future__ import annotations

import codecs
import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Self

_MARK = codecs.BOM_UTF8
_ENDS = {"\n": "LF", "\r\n": "CR LF", "\r": "CR"}
_LINES = re.compile(r"([^\r\n]*)(\r\n|\r|\n|$)")
# difflib may take the square of this: what is longer is shown without a comparison.
_COMPARABLE_LINES = 5000


def unified(content: str) -> str:
    """With every line ending in LF, as it is shown and compared."""
    return content.replace("\r\n", "\n").replace("\r", "\n")


@dataclass(frozen=True)
class Text:
    """A file's text. `original` has its own line endings, and no byte-order mark."""

    original: str = ""
    marked: bool = False

    @classmethod
    def of(cls, data: bytes) -> Self | None:
        """None where it is no text: not UTF-8, or with NUL bytes."""
        if b"\0" in data:
            return None
        try:
            return cls(data.removeprefix(_MARK).decode(), data.startswith(_MARK))
        except UnicodeDecodeError:
            return None

    @property
    def content(self) -> str:
        """What goes into the field."""
        return unified(self.original)

    def edited(self, content: str) -> bytes:
        """The file with `content` in place of what it had.

        Lines up to the first change and from the last one on keep their own endings; those
        between get the ending that most lines of the file have.
        """
        old, new = _split(self.original), _split(unified(content))
        head = _alike(old, new)
        tail = _alike(old[head:][::-1], new[head:][::-1])
        middle = [(line, end and self.newline) for line, end in new[head : len(new) - tail]]
        lines = _told_apart(old[:head] + middle + old[len(old) - tail :])
        return (_MARK if self.marked else b"") + "".join(a + b for a, b in lines).encode()

    @property
    def newline(self) -> str:
        """What most of its lines end in."""
        counts = self._counts()
        return max(_ENDS, key=lambda end: counts[end])

    @property
    def newline_name(self) -> str:
        return _ENDS[self.newline]

    @property
    def is_foreign(self) -> bool:
        """Whether it came from another kind of system, so that its ends are worth a word."""
        return self.marked or self.newline != "\n"

    @property
    def is_mixed(self) -> bool:
        """Whether its lines do not all end alike."""
        return sum(map(bool, self._counts().values())) > 1

    def _counts(self) -> dict[str, int]:
        both = self.original.count("\r\n")
        return {
            "\n": self.original.count("\n") - both,
            "\r\n": both,
            "\r": self.original.count("\r") - both,
        }


def _split(content: str) -> list[tuple[str, str]]:
    """Lines, each with its end; the last may have none."""
    found = _LINES.findall(content)
    return found[:-1] if len(found) > 1 and found[-1] == ("", "") else found


def _told_apart(lines: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The same lines. An empty line that ends in LF gets a CR instead where the line before ends in
    CR: the two ends would be read as the single end CR LF."""
    before = ""
    for line, end in lines:
        before = "\r" if (before, line, end) == ("\r", "", "\n") else end
        yield line, before


def _alike(old: list[tuple[str, str]], new: list[tuple[str, str]]) -> int:
    """How many lines from the first on are the same, in whichever way they end; but a line that
    has an end differs from one that has none."""
    pairs = zip(old, new, strict=False)
    same = takewhile(lambda p: p[0][0] == p[1][0] and bool(p[0][1]) == bool(p[1][1]), pairs)
    return sum(1 for _ in same)


@dataclass(frozen=True)
class Line:
    """One line of a comparison; `sign` is "-" for the old, "+" for the new, " " for both, and
    "" where some are left out."""

    sign: str
    text: str


def difference(old: str, new: str) -> list[Line] | None:
    """What differs, with a few lines around it; None where it is too long to be compared."""
    before, after = old.split("\n"), new.split("\n")
    if max(len(before), len(after)) > _COMPARABLE_LINES:
        return None
    return list(_lines(difflib.unified_diff(before, after, lineterm="", n=3)))


def _lines(diff: Iterable[str]) -> Iterator[Line]:
    # Before the first line that counts stand two of names and one of numbers.
    for line in islice(diff, 3, None):
        yield Line("", "⋯") if line.startswith("@@") else Line(line[0], line[1:])
