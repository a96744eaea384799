"""How many files may be downloaded at once: each download holds a thread."""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Self

from containers.repair.files import TooFast

if TYPE_CHECKING:
    from panel.models import User

# In one process of web: for one person, and in all. Half of its threads are left for pages.
FOR_ONE = 2
IN_ALL = 4

_open: Counter[int] = Counter()
_changing = threading.Lock()


class Download:
    """The pieces that `read` yields, on their way to a person. It counts as open until it is closed
    or garbage collected. Making one raises TooFast where too many are open, and whatever `read`
    does."""

    def __init__(self, person: User, read: Callable[[], Iterator[bytes]]) -> None:
        _begin(person.pk)
        self.close = weakref.finalize(self, _end, person.pk)
        self._pieces = read()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)


def _begin(person: int) -> None:
    with _changing:
        if _open[person] >= FOR_ONE:
            raise TooFast(
                f"You are downloading {FOR_ONE} files already. Wait until one has arrived, then "
                "try again."
            )
        if _open.total() >= IN_ALL:
            raise TooFast("Many files are being downloaded just now. Try again in a moment.")
        _open[person] += 1


def _end(person: int) -> None:
    with _changing:
        _open[person] -= 1
        if not _open[person]:
            del _open[person]
