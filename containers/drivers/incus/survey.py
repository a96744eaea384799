"""All the files of a container at a glance: whether two containers hold the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

from containers.drivers import Progress

from .limits import limited
from .sftp import WINDOW, Attributes, Sftp

# Of a round of questions: seconds, and bytes.
_ROUND, _LARGEST = 600, 512 * 1024 * 1024


class Survey:
    """Looks at every file of a container; `digest` is the same for two of them only where
    names, kinds, permissions, owners, and the sizes and times of files are."""

    def __init__(self) -> None:
        self._sum = 0

    @property
    def digest(self) -> str:
        return f"{self._sum % 2**256:064x}"

    def look(self, sftp: Sftp, step: str) -> Iterator[Progress]:
        """Yields after each round of questions."""
        waiting = [""]
        while waiting:
            batch, waiting = waiting[-WINDOW:], waiting[:-WINDOW]
            with limited(_ROUND, _LARGEST):
                found_in = sftp.folders([folder or "/" for folder in batch])
            for folder, entries in zip(batch, found_in, strict=True):
                for name, found in entries:
                    self._add(f"{folder}/{name}", found)
                    if found.is_folder:
                        waiting.append(f"{folder}/{name}")
            yield Progress(None, step)

    def _add(self, path: str, found: Attributes) -> None:
        told = [os.fsencode(path), found.mode, found.uid, found.gid]
        if found.is_file:
            told += [found.size, found.modified]
        self._sum += int.from_bytes(hashlib.sha256(repr(told).encode()).digest())
