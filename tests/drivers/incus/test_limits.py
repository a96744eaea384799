"""A server that was taken over may answer what it likes: neither time nor memory goes with it."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from io import BytesIO
from itertools import chain, repeat
from pathlib import Path

import pytest

from containers.drivers import BrokenOff, Unreachable
from containers.drivers.incus import Client, Server, client, files, survey
from containers.drivers.incus.files import list_folder, session
from containers.drivers.incus.sftp import Sftp
from containers.drivers.incus.survey import Survey

OK = b"HTTP/1.1 200 OK\r\n"
ANSWER = b'{"type": "sync", "metadata": "well"}'
WELL = OK + b"Content-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER

Says = Callable[[Iterable[bytes]], Client]


@pytest.fixture
def says(tmp_path: Path) -> Iterator[Says]:
    """The client of a server that answers whatever it is asked with these pieces, as long as
    somebody takes them; each b"" is a short wait."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()

        def answer(pieces: Iterable[bytes]) -> None:
            with suppress(OSError):
                while True:
                    asker, _ = listener.accept()
                    with asker, suppress(OSError):
                        asker.recv(65536)
                        for piece in pieces:
                            asker.sendall(piece) if piece else time.sleep(0.05)
                        while asker.recv(65536):
                            pass

        def say(pieces: Iterable[bytes]) -> Client:
            threading.Thread(target=answer, args=[pieces], daemon=True).start()
            return Client(Server(str(tmp_path / "socket"), timeout=60))

        yield say


def forever(*pieces: bytes) -> Iterator[bytes]:
    return chain.from_iterable(repeat(pieces))


def test_an_answer_that_comes_in_pieces_is_taken(says: Says) -> None:
    pieces = [piece for byte in WELL for piece in (bytes([byte]),)]
    assert says(pieces).get("/1.0") == "well"


@pytest.mark.parametrize(
    "begin",
    [b"", OK, OK + b"Content-Length: 100000\r\n\r\n"],
    ids=["nothing yet", "the head", "the body"],
)
def test_an_answer_that_never_comes_to_its_end_is_given_up(says: Says, begin: bytes) -> None:
    asking = says(chain([begin or b" "], forever(b"X: y\r\n" if begin == OK else b" ", b"")))
    began = time.monotonic()
    with pytest.raises(Unreachable):
        asking.get("/1.0", within=0.3)
    assert time.monotonic() - began < 30


def test_an_answer_without_an_end_is_not_kept(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_LARGEST", 2**20)
    with pytest.raises(Unreachable, match="without an end"):
        says(chain([OK + b"\r\n"], forever(b"x" * 65536))).get("/1.0")


def test_nothing_is_unpacked(says: Says) -> None:
    packed = gzip.compress(ANSWER)
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    with pytest.raises(Unreachable, match="compressed"):
        says([head + packed]).get("/1.0")


def test_an_answer_that_is_nested_without_end_is_none_of_incus(says: Says) -> None:
    head = OK + b"Content-Length: 200000\r\n\r\n"
    with pytest.raises(Unreachable, match="this is not Incus"):
        says([head + b"[" * 200_000]).get("/1.0")


def packet(kind: int, number: int, *rest: bytes) -> bytes:
    body = struct.pack(">BI", kind, number) + b"".join(rest)
    return struct.pack(">I", len(body)) + body


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: sftp\r\n\r\n"
SFTP = [SWITCH, packet(2, 3)]


@pytest.mark.parametrize(
    "told",
    [
        chain([struct.pack(">I", 2**32 - 1)], forever(b"x" * 65536)),
        [struct.pack(">I", 0)],
        forever(packet(101, 999, b"x" * 65536)),
    ],
    ids=["an answer of 4 GiB", "an answer of nothing", "answers to no question"],
)
def test_what_is_told_of_files_has_an_end(says: Says, told: Iterable[bytes]) -> None:
    with pytest.raises(BrokenOff), session(says(chain(SFTP, told)), "ct-1") as sftp:
        list_folder(sftp, "/")


FILE = struct.pack(">IQIIIII", 0xF, 10, 0, 0, 0o100644, 0, 0)
FOLDER = struct.pack(">IQIIIII", 0xF, 0, 0, 0, 0o40755, 0, 0)
HANDLE = struct.pack(">I", 1) + b"h"
BIT_BY_BIT = [struct.pack(">I", 5000), *[b"x", b""] * 1000]


@pytest.mark.parametrize(
    ("begin", "asks"),
    [
        ([], lambda sftp: files.list_folder(sftp, "/")),
        ([], lambda sftp: files.file_info(sftp, "/a")),
        ([], lambda sftp: next(files.read(sftp, "/a"))),
        ([packet(105, 1, FILE), packet(102, 2, HANDLE)], lambda sftp: [*files.read(sftp, "/a")]),
        ([packet(105, 1, FILE)], lambda sftp: files.write(sftp, "/a", BytesIO(b"b"), None)),
        ([], lambda sftp: files.put_ssh_key(sftp, "ssh-ed25519 AAAA")),
        ([], lambda sftp: files.make_folder(sftp, "/a")),
        ([], lambda sftp: files.rename(sftp, "/a", "/b")),
        ([packet(105, 1, FOLDER)], lambda sftp: files.remove(sftp, "/a")),
        ([], lambda sftp: [*Survey().look(sftp, "")]),
    ],
    ids=[
        "list", "info", "open", "read", "write", "key", "make folder", "rename", "remove", "survey",
    ],
)  # fmt: skip
def test_nobody_waits_for_files_that_come_bit_by_bit(
    says: Says,
    begin: list[bytes],
    asks: Callable[[Sftp], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "_LOOKING", 0.3)
    monkeypatch.setattr(files, "_CHANGING", 0.3)
    monkeypatch.setattr(survey, "_ROUND", 0.3)
    began = time.monotonic()
    asked = says(chain(SFTP, begin, BIT_BY_BIT))
    with pytest.raises(Unreachable), session(asked, "ct-1") as sftp:
        asks(sftp)
    assert time.monotonic() - began < 25, "it has been waited for to its end"


def test_a_folder_without_an_end_is_not_kept(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_LARGEST", 2**20)
    name = struct.pack(">I", 2**17) + 2**17 * b"x"
    names = (packet(104, n, struct.pack(">I", 1), name, name, FILE) for n in range(3, 10_000))
    told = chain(SFTP, [packet(105, 1, FOLDER), packet(102, 2, HANDLE)], names)
    with pytest.raises(Unreachable, match="without an end"), session(says(told), "ct-1") as sftp:
        list_folder(sftp, "/")


def test_a_file_has_no_more_than_it_had_when_it_was_opened(says: Says) -> None:
    data = struct.pack(">I", 2**15) + 2**15 * b"x"
    more = (packet(103, n, data) for n in range(3, 10_000))
    told = chain(SFTP, [packet(105, 1, FILE), packet(102, 2, HANDLE)], more)
    with session(says(told), "ct-1") as sftp:
        assert b"".join(files.read(sftp, "/a")) == 10 * b"x"
