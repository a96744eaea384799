"""The files of a stopped container, reached as its own root would reach them: never outside."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from containers.drivers import (
    MAX_COUNTED,
    MAX_DEPTH,
    MAX_LISTED,
    BadPath,
    FileChanged,
    FileInfo,
    FileKind,
)

from .chroot import (
    Place,
    driver_errors,
    every_entry,
    located,
    lstat,
    names_in,
    opened_folder,
    room_errors,
)

PIECE = 64 * 1024
UNMAPPED = 65534  # what Linux shows for an id that has no counterpart inside


class Rootfs:
    """The tree under `root`. `aside` is a folder on the same file system, outside of the tree,
    for what is on its way in or out: what a crash leaves there is not seen in the container."""

    def __init__(self, root: Path, aside: Path) -> None:
        self.root = root
        self.aside = aside

    def list_folder(self, path: str) -> list[FileInfo]:
        with located(self.root, path) as place:
            if not place.is_folder:
                raise BadPath(f"{path!r} is not a folder")
            entries = []
            with opened_folder(place.name, place.folder) as folder:
                for name in names_in(folder, most=MAX_LISTED):
                    with suppress(FileNotFoundError):  # gone since it was listed
                        entries.append(self._info(name, lstat(name, folder), folder))
        return sorted(entries, key=lambda entry: (entry.kind is not FileKind.FOLDER, entry.name))

    def file_info(self, path: str, *, follow: bool = True) -> FileInfo:
        with located(self.root, path, follow=follow) as place:
            if place.stat is None or (place.depth == 0 and not follow):
                raise BadPath(f"{path!r} does not exist")
            return self._info(place.name, place.stat, place.folder)

    def read(self, path: str) -> Iterator[bytes]:
        """The file is open, and known to be one, when this returns."""
        with located(self.root, path) as place:
            if not place.is_file:
                raise BadPath(f"{path!r} is not a file")
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
            file = os.fdopen(os.open(place.name, flags, dir_fd=place.folder), "rb")
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                file.close()
                raise BadPath(f"{path!r} is not a file any more")
            return _pieces(file)

    def check_writable(self, path: str, version: str | None) -> None:
        """Raise what `put` would raise, before a long upload instead of after it."""
        with located(self.root, path) as place:
            self._check(place, path, version)

    def stage(self, content: BinaryIO) -> Path:
        """Take `content` in, aside, for `put`."""
        staged = self.aside / uuid4().hex
        with driver_errors("the upload"):
            self.aside.mkdir(mode=0o700, exist_ok=True)
            file = staged.open("xb")
        try:
            with file, room_errors("the upload"):
                shutil.copyfileobj(content, file, PIECE)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            staged.unlink(missing_ok=True)
            raise
        return staged

    def put(self, staged: Path, path: str, version: str | None) -> FileInfo:
        """Give what was staged its place; the caller sees to it that nobody else writes now."""
        with located(self.root, path) as place:
            self._check(place, path, version)
            kept = place.stat or self.root.stat()
            with staged.open("rb") as file:
                _own(file.fileno(), kept)
                os.fchmod(file.fileno(), stat.S_IMODE(kept.st_mode) if place.stat else 0o644)
            os.rename(staged, place.name, dst_dir_fd=place.folder)
            return self._info(place.name, lstat(place.name, place.folder), place.folder)

    def make_folder(self, path: str) -> None:
        with located(self.root, path, follow=False) as place:
            if place.stat is not None:
                raise BadPath(f"{path!r} exists")
            if place.depth > MAX_DEPTH:
                raise BadPath(f"{path!r} is nested too deeply")
            os.mkdir(place.name, dir_fd=place.folder)
            with opened_folder(place.name, place.folder) as folder:
                _own(folder, self.root.stat())
                os.fchmod(folder, 0o755)

    def rename(self, path: str, to: str) -> None:
        with (
            located(self.root, path, follow=False) as old,
            located(self.root, to, follow=False) as new,
        ):
            if old.stat is None or old.depth == 0:
                raise BadPath(f"{path!r} cannot be renamed")
            if new.stat is not None:
                raise BadPath(f"{to!r} exists")
            if old.is_folder and new.depth + _height(old) > MAX_DEPTH:
                raise BadPath(f"{to!r} is nested too deeply")
            os.rename(old.name, new.name, src_dir_fd=old.folder, dst_dir_fd=new.folder)

    def remove(self, path: str) -> None:
        """What is removed goes at once, as a whole, however long its deletion takes."""
        with located(self.root, path, follow=False) as place:
            if place.stat is None or place.depth == 0:
                raise BadPath(f"{path!r} cannot be removed")
            if not place.is_folder:
                os.unlink(place.name, dir_fd=place.folder)
                return
            self.aside.mkdir(mode=0o700, exist_ok=True)
            removed = self.aside / uuid4().hex
            os.rename(place.name, removed, src_dir_fd=place.folder)
            shutil.rmtree(removed, ignore_errors=True)

    def _check(self, place: Place, path: str, version: str | None) -> None:
        if place.stat is not None and not place.is_file:
            raise BadPath(f"{path!r} is not a file")
        if version is not None and version != _version(place.stat):
            raise FileChanged(f"{path!r} is {_version(place.stat)!r} now, not {version!r}")

    def _info(self, name: str, found: os.stat_result, at: int) -> FileInfo:
        owner = self.root.stat()
        kind = FileKind.of(found.st_mode)
        size, target = found.st_size, ""
        if kind is FileKind.LINK:
            target = os.readlink(name, dir_fd=at)
        elif kind is FileKind.FOLDER:
            size = 0
            with suppress(OSError), opened_folder(name, at) as folder:
                size = len(names_in(folder, most=MAX_COUNTED + 1))
        modified = None
        with suppress(OverflowError, ValueError, OSError):  # a file may bear any date at all
            modified = datetime.fromtimestamp(found.st_mtime, UTC)
        return FileInfo(
            name="/" if name == "." else name,
            kind=kind,
            size=size,
            mode=stat.S_IMODE(found.st_mode),
            uid=_inside(found.st_uid, owner.st_uid),
            gid=_inside(found.st_gid, owner.st_gid),
            modified=modified,
            version=_version(found),
            target=target,
        )


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(PIECE):
            yield piece


def _version(found: os.stat_result | None) -> str:
    return f"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}" if found else ""


def _inside(number: int, owner: int) -> int:
    return number - owner if 0 <= number - owner < UNMAPPED else UNMAPPED


def _own(descriptor: int, like: os.stat_result) -> None:
    """Give an open file the owner that `like` has."""
    now = os.fstat(descriptor)
    if (now.st_uid, now.st_gid) != (like.st_uid, like.st_gid):
        os.fchown(descriptor, like.st_uid, like.st_gid)


def _height(place: Place) -> int:
    """How many levels of folders there are below this one."""
    with opened_folder(place.name, place.folder) as folder:
        inner = (path for _, path, found in every_entry(folder) if stat.S_ISDIR(found.st_mode))
        return max((path.count("/") for path in inner), default=0)
