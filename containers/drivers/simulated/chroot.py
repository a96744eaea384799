"""Paths inside a tree, walked as in a chroot: no path leads out of it.

Every path is walked component by component on open folders, no component is ever followed
by the kernel, and links are resolved here. So neither `..`, nor a link, nor a folder that is
swapped for a link in the meantime leads out.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from containers.drivers import MAX_DEPTH, MAX_LINKS, MAX_PATH, BadPath, NoRoom, Refused

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_BAD_PATH = {
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EEXIST,
    errno.ENOTEMPTY, errno.EINVAL, errno.EACCES, errno.EPERM, errno.EBUSY, errno.ENXIO,
}  # fmt: skip


@contextmanager
def room_errors(about: str) -> Iterator[None]:
    """Turn a full disk into NoRoom."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise NoRoom(f"{about!r}: {error.strerror}") from error
        raise


@contextmanager
def driver_errors(about: str) -> Iterator[None]:
    """Turn what the operating system says of a path into what the driver protocol says."""
    try:
        with room_errors(about):
            yield
    except OSError as error:
        if error.errno in _BAD_PATH:
            raise BadPath(f"{about!r}: {error.strerror}") from error
        raise Refused(f"{about!r}: {error}") from error


@contextmanager
def opened_folder(name: str, at: int | None = None) -> Iterator[int]:
    """A descriptor of the folder itself; a link in its place is an error."""
    descriptor = _open_folder(name, at)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def every_entry(folder: int, above: str = "") -> Iterator[tuple[int, str, os.stat_result]]:
    """All that is below an open folder: the folder it is in, open; its path; what it is."""
    for name in names_in(folder):
        found = lstat(name, folder)
        yield folder, f"{above}/{name}", found
        if stat.S_ISDIR(found.st_mode):
            with opened_folder(name, folder) as inner:
                yield from every_entry(inner, f"{above}/{name}")


def names_in(folder: int, *, most: int | None = None) -> list[str]:
    """What is in an open folder, no more than `most`."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in islice(entries, most)]


def _open_folder(name: str, at: int | None = None) -> int:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)


def lstat(name: str, at: int) -> os.stat_result:
    return os.stat(name, dir_fd=at, follow_symlinks=False)


@dataclass(frozen=True)
class Place:
    """Where a path leads: `name` in the open folder `folder`; `stat` is None where nothing is."""

    folder: int
    name: str
    stat: os.stat_result | None
    depth: int

    @property
    def is_folder(self) -> bool:
        return self.stat is not None and stat.S_ISDIR(self.stat.st_mode)

    @property
    def is_file(self) -> bool:
        return self.stat is not None and stat.S_ISREG(self.stat.st_mode)


@contextmanager
def located(root: Path, path: str, *, follow: bool = True) -> Iterator[Place]:
    """Walk from `root` to `path`, and keep the folder it is in open meanwhile. A link at its
    end is followed where `follow` says so, any other always. Raises BadPath, also for what
    the operating system says of the path within."""
    with driver_errors(path):
        trail = [(_open_folder(str(root)), ".")]
        try:
            yield _walk(path, trail, follow)
        finally:
            for descriptor, _ in trail:
                os.close(descriptor)


def _walk(path: str, trail: list[tuple[int, str]], follow: bool) -> Place:
    if not path.startswith("/") or len(path) > MAX_PATH:
        raise BadPath(f"{path!r} is not an absolute path")
    steps = deque(_steps(path))
    links = 0
    while steps:
        step = steps.popleft()
        folder = trail[-1][0]
        if step == "..":
            if len(trail) > 1:
                os.close(trail.pop()[0])
            continue
        try:
            found = lstat(step, folder)
        except FileNotFoundError:
            if steps:
                raise
            return Place(folder, step, None, len(trail))
        if stat.S_ISLNK(found.st_mode) and (steps or follow):
            links += 1
            if links > MAX_LINKS:
                raise BadPath(f"{path!r} leads through too many links")
            target = os.readlink(step, dir_fd=folder)
            if target.startswith("/"):
                while len(trail) > 1:
                    os.close(trail.pop()[0])
            steps.extendleft(reversed(_steps(target)))
        elif stat.S_ISDIR(found.st_mode):
            if len(trail) > MAX_DEPTH:
                raise BadPath(f"{path!r} is nested too deeply")
            trail.append((_open_folder(step, folder), step))
        elif steps:
            raise BadPath(f"{step!r} in {path!r} is not a folder")
        else:
            return Place(folder, step, found, len(trail))
    parent = trail[max(0, len(trail) - 2)][0]
    return Place(parent, trail[-1][1], os.fstat(trail[-1][0]), len(trail) - 1)


def _steps(path: str) -> list[str]:
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise BadPath(f"{path!r} cannot be the name of a file") from error
    if "\0" in path:
        raise BadPath(f"{path!r} holds a NUL")
    return [step for step in path.split("/") if step not in ("", ".")]
