"""SFTP, version 3 (draft-ietf-secsh-filexfer-02), as far as the files of a container need it.

Many questions are sent before the first answer is read: a folder with hundreds of entries
costs a handful of round trips. Names are bytes on the wire and need not be UTF-8; here they
are what `os.fsdecode` makes of them.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

_INIT, _VERSION = 1, 2
_OPEN, _CLOSE, _READ, _WRITE, _LSTAT, _FSETSTAT = 3, 4, 5, 6, 7, 10
_SETSTAT, _OPENDIR, _READDIR, _REMOVE, _MKDIR, _RMDIR = 9, 11, 12, 13, 14, 15
_READLINK, _EXTENDED = 19, 200
_STATUS, _HANDLE, _DATA, _NAME, _ATTRS = 101, 102, 103, 104, 105
_OK, _EOF, _NO_SUCH_FILE = 0, 1, 2
_FOR_READING, _FOR_WRITING, _CREATE, _EXCLUSIVE = 0x01, 0x02, 0x08, 0x20
_HAS_SIZE, _HAS_OWNER, _HAS_MODE, _HAS_TIMES = 0x1, 0x2, 0x4, 0x8

_GO_BITS = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}

PIECE = 32 * 1024  # as much as a server has to take or give at once
WINDOW = 32  # questions on their way at once
_LARGEST = 1024 * 1024  # bytes of an answer; servers send a quarter of it at most
LATEST = 2**32 - 1  # seconds: the last moment that can be told


class SftpError(Exception):
    """The server said no, and why."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Stream(Protocol):
    """What carries the bytes; it raises its own errors when it breaks or takes too long."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes: ...
    def write(self, buffer: bytes, timeout: float | None = None) -> None: ...


@dataclass(frozen=True)
class Attributes:
    """What is known of a file. `mode` holds its kind too; `modified` is in whole seconds."""

    size: int
    uid: int
    gid: int
    mode: int
    modified: int

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)


class Sftp:
    """A session on an open stream. No path is followed here beyond what the server does. What
    is open when the session ends, the server closes.

    Raises SftpError, EOFError where the stream ends or makes no sense, and what the stream raises.
    """

    def __init__(self, stream: Stream, timeout: float) -> None:
        self._stream = stream
        self._timeout = timeout
        self._buffer = bytearray()
        self._answers: dict[int, tuple[int, bytes]] = {}
        self._last = 0
        self._write(struct.pack(">BI", _INIT, 3))
        kind, _ = self._packet()
        if kind != _VERSION:
            raise SftpError(0, "this is not SFTP")

    def lstat(self, path: str) -> Attributes | None:
        """What is at a path itself; None where nothing is."""
        try:
            return _attributes(_Body(self._one(_ATTRS, _LSTAT, path)))
        except SftpError as error:
            if error.code == _NO_SUCH_FILE:
                return None
            raise

    def readlinks(self, paths: Sequence[str]) -> list[str]:
        """Where links point, as it stands there."""
        answers = self._many(_NAME, [(_READLINK, path) for path in paths])
        return [_names(answer)[0][0] for answer in answers]

    def folders(
        self, paths: Sequence[str], *, most: int | None = None
    ) -> list[list[tuple[str, Attributes]]]:
        """The entries of several folders, each in no order; of each no more than `most`."""
        handles = [_Body(b).text() for b in self._many(_HANDLE, [(_OPENDIR, p) for p in paths])]
        found: list[list[tuple[str, Attributes]]] = [[] for _ in handles]
        unread = dict(enumerate(handles))
        while unread:
            asked = [(n, self._send(_READDIR, handle)) for n, handle in unread.items()]
            for n, number in asked:
                kind, body = self._receive(number)
                if kind == _NAME:
                    found[n] += [each for each in _names(body) if each[0] not in (".", "..")]
                    if most is not None and len(found[n]) >= most:
                        del unread[n]
                elif _status(body).code == _EOF:
                    del unread[n]
                else:
                    raise _status(body)
        self._many(_STATUS, [(_CLOSE, handle) for handle in handles])
        return [entries[:most] for entries in found]

    def make_folder(self, path: str) -> None:
        self._one(_STATUS, _MKDIR, path, 0)

    def give(self, path: str, *, uid: int, gid: int, mode: int) -> None:
        """Set owner and permissions; a link is followed."""
        # The owner first: setting it takes permissions away.
        self._one(_STATUS, _SETSTAT, path, _HAS_OWNER, uid, gid)
        self._one(_STATUS, _SETSTAT, path, _HAS_MODE, _mode_for_go(mode))

    def remove(self, paths: Iterable[str]) -> None:
        """Delete files and links."""
        self._many(_STATUS, [(_REMOVE, path) for path in paths])

    def remove_folders(self, paths: Iterable[str]) -> None:
        """Delete empty folders."""
        self._many(_STATUS, [(_RMDIR, path) for path in paths])

    def rename(self, path: str, to: str) -> None:
        """Give a file another path, in place of what is there."""
        self._one(_STATUS, _EXTENDED, "posix-rename@openssh.com", path, to)

    def link(self, path: str, to: str) -> None:
        """Give a file a second path; fails where something is there."""
        self._one(_STATUS, _EXTENDED, "hardlink@openssh.com", path, to)

    def read(self, path: str) -> Iterator[bytes]:
        """The content of a file, in pieces of a few hundred KiB. Open as soon as the first,
        empty, piece has come."""
        handle = _Body(self._one(_HANDLE, _OPEN, path, _FOR_READING, 0)).text()
        yield b""
        offset = 0
        while piece := self._piece(handle, offset):
            yield piece
            offset += len(piece)
        self._one(_STATUS, _CLOSE, handle)

    def write(
        self, path: str, content: BinaryIO, *, uid: int, gid: int, mode: int, modified: int
    ) -> None:
        """Make a new file; it is complete when this returns."""
        flags = _FOR_WRITING | _CREATE | _EXCLUSIVE
        handle = _Body(self._one(_HANDLE, _OPEN, path, flags, _HAS_MODE, 0o600)).text()
        sent: list[int] = []
        offset = 0
        while piece := content.read(PIECE):
            sent.append(self._send(_WRITE, handle, _U64(offset), piece))
            offset += len(piece)
            if len(sent) >= WINDOW:
                self._answer(_STATUS, sent.pop(0))
        for number in sent:
            self._answer(_STATUS, number)
        times = modified, modified
        self._one(_STATUS, _FSETSTAT, handle, _HAS_OWNER, uid, gid)
        self._one(_STATUS, _FSETSTAT, handle, _HAS_MODE | _HAS_TIMES, _mode_for_go(mode), *times)
        self._one(_STATUS, _CLOSE, handle)

    def _piece(self, handle: bytes, offset: int) -> bytes:
        """As much as there is, up to a window full; b"" at the end."""
        asked = [
            self._send(_READ, handle, _U64(offset + n * PIECE), PIECE) for n in range(WINDOW // 2)
        ]
        pieces: list[bytes] = []
        whole = True
        for number in asked:
            kind, body = self._receive(number)
            if not whole:
                continue  # beyond the end, or beyond a piece that came short
            if kind == _DATA:
                pieces.append(_Body(body).text())
                whole = len(pieces[-1]) == PIECE
            elif _status(body).code == _EOF:
                whole = False
            else:
                raise _status(body)
        return b"".join(pieces)

    def _one(self, expected: int, kind: int, *fields: _Field) -> bytes:
        return self._answer(expected, self._send(kind, *fields))

    def _many(self, expected: int, questions: Sequence[tuple[_Field, ...]]) -> list[bytes]:
        """All answers, in order; if some are refusals, the first of them once all are in."""
        answers: list[bytes | SftpError] = []
        for start in range(0, len(questions), WINDOW):
            numbers = [self._send(*question) for question in questions[start : start + WINDOW]]
            for number in numbers:
                try:
                    answers.append(self._answer(expected, number))
                except SftpError as error:
                    answers.append(error)
        for answer in answers:
            if isinstance(answer, SftpError):
                raise answer
        return [answer for answer in answers if isinstance(answer, bytes)]

    def _answer(self, expected: int, number: int) -> bytes:
        kind, body = self._receive(number)
        if kind == expected and (kind != _STATUS or _status(body).code == _OK):
            return body
        if kind == _STATUS:
            raise _status(body)
        raise SftpError(0, f"an answer of kind {kind}, where {expected} was expected")

    def _send(self, kind: _Field, *fields: _Field) -> int:
        self._last += 1
        assert isinstance(kind, int)
        body = b"".join(_packed(field) for field in fields)
        self._write(struct.pack(">BI", kind, self._last) + body)
        return self._last

    def _receive(self, number: int) -> tuple[int, bytes]:
        while number not in self._answers:
            kind, body = self._packet()
            answered = int.from_bytes(body[:4])
            if answered > self._last:
                raise EOFError("the server answers what it was not asked")
            self._answers[answered] = kind, body[4:]
        return self._answers.pop(number)

    def _write(self, packet: bytes) -> None:
        self._stream.write(struct.pack(">I", len(packet)) + packet, self._timeout)

    def _packet(self) -> tuple[int, bytes]:
        size = int.from_bytes(self._bytes(4))
        if not 0 < size <= _LARGEST:
            raise EOFError(f"the server tells of an answer of {size} bytes")
        packet = self._bytes(size)
        return packet[0], packet[1:]

    def _bytes(self, count: int) -> bytes:
        while len(self._buffer) < count:
            read = self._stream.read(256 * 1024, self._timeout)
            if not read:
                raise EOFError("the server ended the SFTP session")
            self._buffer += read
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


@dataclass(frozen=True)
class _U64:
    number: int


_Field = int | str | bytes | _U64


def _mode_for_go(mode: int) -> int:
    """Permissions as Incus' server takes them, as Go's FileMode, in which set-uid, set-gid and
    sticky are other bits. It reports them in the usual bits: these are sent, too, in case a later
    release takes them."""
    return mode | sum(go for unix, go in _GO_BITS.items() if mode & unix)


def _packed(field: _Field) -> bytes:
    if isinstance(field, int):
        return struct.pack(">I", field)
    if isinstance(field, _U64):
        return struct.pack(">Q", field.number)
    text = os.fsencode(field) if isinstance(field, str) else field
    return struct.pack(">I", len(text)) + text


class _Body:
    """The rest of an answer, read from the front."""

    def __init__(self, body: bytes) -> None:
        self._left = memoryview(body)

    def u32(self) -> int:
        return int.from_bytes(self._take(4))

    def u64(self) -> int:
        return int.from_bytes(self._take(8))

    def text(self) -> bytes:
        return self._take(self.u32())

    def _take(self, count: int) -> bytes:
        taken, self._left = bytes(self._left[:count]), self._left[count:]
        if len(taken) < count:
            raise SftpError(0, "an answer that breaks off")
        return taken


def _status(body: bytes) -> SftpError:
    fields = _Body(body)
    return SftpError(fields.u32(), fields.text().decode(errors="replace"))


def _attributes(body: _Body) -> Attributes:
    flags = body.u32()
    size = body.u64() if flags & _HAS_SIZE else 0
    uid, gid = (body.u32(), body.u32()) if flags & _HAS_OWNER else (0, 0)
    mode = body.u32() if flags & _HAS_MODE else 0
    _, modified = (body.u32(), body.u32()) if flags & _HAS_TIMES else (0, 0)
    return Attributes(size, uid, gid, mode, modified)


def _names(answer: bytes) -> list[tuple[str, Attributes]]:
    body, found = _Body(answer), []
    for _ in range(body.u32()):
        name = os.fsdecode(body.text())
        body.text()  # the same, as `ls -l` would show it
        found.append((name, _attributes(body)))
    return found
