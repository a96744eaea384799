"""The files of a stopped container, by SFTP.

Incus serves them from a process of its own whose root folder is the container's: neither a
link nor `..` leads that process out. A link at the end of a path is followed here, step by
step, and each step is walked by that process again.

SFTP tells times in whole seconds, so a version is the time of the last change and the size,
and every write through here makes that time differ from the one before.
"""

from __future__ import annotations

import os
import posixpath
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import BytesIO
from typing import BinaryIO
from uuid import uuid4

from containers.drivers import (
    MAX_COUNTED,
    MAX_DEPTH,
    MAX_LINKS,
    MAX_LISTED,
    MAX_PATH,
    BadPath,
    BrokenOff,
    FileChanged,
    FileInfo,
    FileKind,
    NoRoom,
    Refused,
)

from .client import Client
from .limits import limited
from .sftp import LATEST, WINDOW, Attributes, Sftp, SftpError

_SOON = 60  # seconds
_LOOKING = 60  # seconds that somebody waits for a folder in all, or for a piece of a file
_CHANGING = 3600  # for a whole file that is sent, or a folder that is deleted with what is in it
_LARGEST = 512 * 1024 * 1024  # bytes that are told of one folder

_PARTLY = (
    "Only a part of this folder could be deleted. If the rest stays, it is a case for support."
)

_NO_ROOM = ("no space left", "quota exceeded", "file too large")
_BROKEN = ("input/output error", "read-only file system", "stale file handle")


@contextmanager
def session(client: Client, name: str) -> Iterator[Sftp]:
    """The files of one container. Raises what the driver protocol says of paths, of room,
    and of a server that does not answer."""
    with client.upgraded(f"/1.0/instances/{name}/sftp", "sftp") as stream:
        try:
            yield Sftp(stream, client.server.timeout)
        except SftpError as error:
            raise _meaning(error) from error
        except EOFError as error:
            raise BrokenOff(f"{name}: {error}") from error


def _meaning(error: SftpError) -> BadPath | NoRoom | Refused:
    text = str(error)
    if any(known in text for known in _NO_ROOM):
        return NoRoom(text)
    return Refused(text) if any(known in text for known in _BROKEN) else BadPath(text)


def list_folder(sftp: Sftp, path: str) -> list[FileInfo]:
    with limited(_LOOKING, _LARGEST):
        path, found = _followed(sftp, path)
        if found is None or not found.is_folder:
            raise BadPath(f"{path!r} is not a folder")
        [entries] = sftp.folders([path], most=MAX_LISTED)
        infos = _infos(sftp, path, entries)
    return sorted(infos, key=lambda info: (info.kind is not FileKind.FOLDER, info.name))


def file_info(sftp: Sftp, path: str, *, follow: bool = True) -> FileInfo:
    with limited(_LOOKING, _LARGEST):
        path, found = _followed(sftp, path) if follow else (_entry(path), sftp.lstat(_entry(path)))
        if found is None:
            raise BadPath(f"{path!r} does not exist")
        folder, name = posixpath.split(path.rstrip("/"))
        [info] = _infos(sftp, folder or "/", [(name or "/", found)])
    return info


def read(sftp: Sftp, path: str) -> Iterator[bytes]:
    """Yields an empty piece as soon as the file is open, then its content; of a file that grows
    meanwhile no more than there was by then."""
    with limited(_LOOKING):
        path, found = _followed(sftp, path)
        if found is None or not found.is_file:
            raise BadPath(f"{path!r} is not a file")
        pieces = sftp.read(path)
        piece, left = next(pieces), found.size
    yield piece
    # The limit is for each piece: whoever takes them may be slow.
    while left > 0:
        with limited(_LOOKING):
            piece = next(pieces, b"")[:left]
        if not piece:
            return
        yield piece
        left -= len(piece)


def write(sftp: Sftp, path: str, content: BinaryIO, version: str | None) -> FileInfo:
    """What a killed process leaves is a file `.upload-…` beside the one that was meant."""
    with limited(_CHANGING, _LARGEST):
        path, before = _followed(sftp, path)
        _check_writable(path, before, version)
        draft = f"{posixpath.dirname(path)}/.upload-{uuid4().hex}"
        try:
            _put(sftp, draft, content, before)
            _check_writable(path, sftp.lstat(path), version)
            if version == "":
                sftp.link(draft, path)
                sftp.remove([draft])
            else:
                sftp.rename(draft, path)
        except BaseException:
            with suppress(SftpError, EOFError):
                sftp.remove([draft])
            raise
        return file_info(sftp, path)


def _put(sftp: Sftp, draft: str, content: BinaryIO, before: Attributes | None) -> None:
    """Make the file that is to take the place of another, with the rights of that one."""
    now = int(time.time())
    sftp.write(
        draft,
        content,
        uid=before.uid if before else 0,
        gid=before.gid if before else 0,
        mode=stat.S_IMODE(before.mode) if before else 0o644,
        modified=_later(now, before),
    )


def _later(now: int, before: Attributes | None) -> int:
    """The time of change of the next version: now; or a second after the version `before`, if that
    is of now or of soon after. So the two always differ."""
    if before and now <= before.modified <= now + _SOON:
        return min(before.modified + 1, LATEST)
    return now


def _check_writable(path: str, found: Attributes | None, version: str | None) -> None:
    if found is not None and not found.is_file:
        raise BadPath(f"{path!r} is not a file")
    if version is not None and version != _version(found):
        raise FileChanged(f"{path!r} is {_version(found)!r} now, not {version!r}")


def put_ssh_key(sftp: Sftp, key: str) -> None:
    """Let its owner in as root, unless the image says otherwise already."""
    path = "/root/.ssh/authorized_keys"
    with limited(_LOOKING):
        with suppress(BadPath):  # an image without a home for root, or with a folder for keys
            make_folder(sftp, "/root/.ssh")
            sftp.give("/root/.ssh", uid=0, gid=0, mode=0o700)
        with suppress(BadPath, FileChanged):
            write(sftp, path, BytesIO(f"{key.strip()}\n".encode()), "")
            sftp.give(path, uid=0, gid=0, mode=0o600)


def make_folder(sftp: Sftp, path: str) -> None:
    path = _entry(path)
    with limited(_LOOKING):
        if sftp.lstat(path):
            raise BadPath(f"{path!r} exists")
        sftp.make_folder(path)
        sftp.give(path, uid=0, gid=0, mode=0o755)


def rename(sftp: Sftp, path: str, to: str) -> None:
    path, to = _entry(path), _entry(to)
    with limited(_LOOKING):
        if sftp.lstat(path) is None:
            raise BadPath(f"{path!r} does not exist")
        if sftp.lstat(to):
            raise BadPath(f"{to!r} exists")
        sftp.rename(path, to)


def remove(sftp: Sftp, path: str) -> None:
    path = _entry(path)
    with limited(_CHANGING, _LARGEST):
        found = sftp.lstat(path)
        if found is None:
            raise BadPath(f"{path!r} does not exist")
        if found.is_folder:
            _remove_folders(sftp, path)
        else:
            sftp.remove([path])


def _remove_folders(sftp: Sftp, path: str) -> None:
    levels = _folders_below(sftp, path)
    begun = False
    try:
        for folders in reversed(levels):
            for batch in _batches(folders):
                inside = [
                    f"{folder}/{name}"
                    for folder, listed in zip(batch, sftp.folders(batch), strict=True)
                    for name, found in listed
                    if not found.is_folder
                ]
                begun = True
                sftp.remove(inside)
                sftp.remove_folders(batch)
    except SftpError as error:
        if not begun:
            raise
        raise Refused(f"{path!r}: {error}", _PARTLY) from error


def _folders_below(sftp: Sftp, path: str) -> list[list[str]]:
    """A folder and those within it, by their depth. Raises BadPath where that is too much."""
    levels = [[path]]
    while len(levels) <= MAX_DEPTH:
        inner = [
            f"{folder}/{name}"
            for batch in _batches(levels[-1])
            for folder, listed in zip(batch, sftp.folders(batch), strict=True)
            for name, found in listed
            if found.is_folder
        ]
        if not inner:
            return levels
        levels.append(inner)
    raise BadPath(f"{path!r} is nested too deeply")


def _batches(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    """As many of them at a time as are asked about at once."""
    return (paths[start : start + WINDOW] for start in range(0, len(paths), WINDOW))


def _followed(sftp: Sftp, path: str) -> tuple[str, Attributes | None]:
    """Where a path leads once the links at its end are followed, and what is there."""
    path = _checked(path)
    for _ in range(MAX_LINKS):
        found = sftp.lstat(path)
        if found is None:
            # A missing file may be made, in a folder that exists; a missing folder may not.
            folder, name = posixpath.split(path)
            if name in ("", ".", "..") or not _is_folder(sftp, folder):
                raise BadPath(f"{path!r} does not exist")
            return path, None
        if not found.is_link:
            return path, found
        [target] = sftp.readlinks([path])
        path = _checked(posixpath.join(posixpath.dirname(path), target))
    raise BadPath(f"{path!r} leads through too many links")


def _is_folder(sftp: Sftp, path: str) -> bool:
    found = sftp.lstat(f"{path.rstrip('/')}/.")
    return found is not None and found.is_folder


def _checked(path: str) -> str:
    """The path without empty steps and `.`; links and `..` in it are left to the server, which
    follows them inside the container."""
    if not path.startswith("/") or len(path) > MAX_PATH or "\0" in path:
        raise BadPath(f"{path!r} is not an absolute path")
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise BadPath(f"{path!r} cannot be the name of a file") from error
    return "/" + "/".join(step for step in path.split("/") if step not in ("", "."))


def _entry(path: str) -> str:
    """The path, if it names an entry of a folder: neither the root, nor `..` at its end."""
    path = _checked(path)
    if posixpath.basename(path) in ("", ".."):
        raise BadPath(f"{path!r} cannot be made, renamed or removed")
    return path


def _infos(sftp: Sftp, folder: str, entries: Sequence[tuple[str, Attributes]]) -> list[FileInfo]:
    def path(name: str) -> str:
        return posixpath.join(folder, name)

    inner = [name for name, found in entries if found.is_folder]
    links = [name for name, found in entries if found.is_link]
    sizes: dict[str, int] = {}
    for batch in _batches(inner):
        listed = sftp.folders([path(name) for name in batch], most=MAX_COUNTED + 1)
        sizes |= {name: len(found) for name, found in zip(batch, listed, strict=True)}
    targets = dict(zip(links, sftp.readlinks([path(name) for name in links]), strict=True))
    return [
        FileInfo(
            name=name,
            kind=FileKind.of(found.mode),
            size=sizes.get(name, found.size),
            mode=stat.S_IMODE(found.mode),
            uid=found.uid,
            gid=found.gid,
            modified=datetime.fromtimestamp(found.modified, UTC),
            version=_version(found),
            target=targets.get(name, ""),
        )
        for name, found in entries
    ]


def _version(found: Attributes | None) -> str:
    return f"{found.modified}-{found.size}" if found else ""
