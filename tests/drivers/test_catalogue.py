"""What an image server says that it has; no Incus is needed for that."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from containers.drivers import ImageSource, NoImageServer
from containers.drivers.incus import catalogue
from containers.drivers.incus.catalogue import Catalogue
from tests.image_server import Streams, simplestreams
from tests.incus_node import free_port


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Streams]:
    with simplestreams(tmp_path) as server:
        yield server


@pytest.fixture
def source(server: Streams) -> ImageSource:
    return ImageSource(server.url, "simplestreams", server.certificate.read_text())


def test_an_image_has_all_its_names_and_those_with_its_architecture(
    server: Streams, source: ImageSource
) -> None:
    server.offer("debian/12,debian/bookworm")
    names = {"debian/12", "debian/12/amd64", "debian/bookworm", "debian/bookworm/amd64"}
    assert Catalogue(source).aliases(timeout=30) == names


@pytest.mark.parametrize("kind", ["disk-kvm.img", "squashfs"])
def test_what_is_for_virtual_machines_or_without_a_description_is_not_there(
    server: Streams, source: ImageSource, kind: str
) -> None:
    server.offer("debian/12", kind=kind)
    assert not Catalogue(source).aliases(timeout=30)


def test_an_index_that_has_not_changed_is_not_fetched_again(
    server: Streams, source: ImageSource
) -> None:
    server.offer("debian/12")
    catalogue = Catalogue(source)
    first = catalogue.aliases(timeout=30)
    server.asked.clear()
    assert catalogue.aliases(timeout=30) == first
    assert [status for _, status in server.asked] == [304, 304]
    server.offer("debian/13")
    assert "debian/13" in catalogue.aliases(timeout=30)


def test_what_keeps_a_server_from_saying_it_is_one_kind_of_failure(
    server: Streams, source: ImageSource
) -> None:
    nowhere = f"https://127.0.0.1:{free_port()}"
    strange = replace(source, url=f"{server.url}/elsewhere")
    for broken, said in (
        (replace(source, url=nowhere), "refused"),
        (replace(source, url=nowhere, protocol="incus"), "refused"),
        (replace(source, certificate=""), "CERTIFICATE_VERIFY_FAILED"),
        (replace(source, protocol="incus"), "not Incus"),
        (strange, "404"),
    ):
        with pytest.raises(NoImageServer, match=said):
            Catalogue(broken).aliases(timeout=30)
    server.files["streams/v1/index.json"] = b"[]"
    server.version += 1
    with pytest.raises(NoImageServer, match="no such index"):
        Catalogue(source).aliases(timeout=30)


@pytest.fixture
def says() -> Iterator[Callable[[bytes, Iterator[bytes]], ImageSource]]:
    """A server that answers whatever it is asked with a head and these pieces."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer(head: bytes, pieces: Iterator[bytes]) -> None:
            asker, _ = listener.accept()
            with asker, suppress(OSError):
                asker.recv(65536)
                asker.sendall(b"HTTP/1.1 200 OK\r\n" + head)
                for piece in pieces:
                    asker.sendall(piece)

        def say(head: bytes, pieces: Iterator[bytes]) -> ImageSource:
            threading.Thread(target=answer, args=[head, pieces], daemon=True).start()
            return ImageSource(f"http://127.0.0.1:{listener.getsockname()[1]}", "simplestreams")

        yield say


@pytest.mark.parametrize("head", [b"X: ", b"Content-Length: 1000\r\n\r\n"])
def test_nobody_waits_for_an_index_that_comes_bit_by_bit(
    says: Callable[[bytes, Iterator[bytes]], ImageSource],
    head: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catalogue, "_WAITING", 0.3)

    def bits() -> Iterator[bytes]:
        for _ in range(1000):
            time.sleep(0.05)
            yield b"x"

    began = time.monotonic()
    with pytest.raises(NoImageServer):
        Catalogue(says(head, bits())).aliases(timeout=30)
    assert time.monotonic() - began < 25, "it has been waited for to its end"


@pytest.mark.parametrize("packed", [True, False])
def test_an_index_without_an_end_is_not_kept(
    says: Callable[[bytes, Iterator[bytes]], ImageSource],
    packed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catalogue, "_LARGEST", 2**20)
    content = b"[" + 2**21 * b" " + b"]"
    sent = gzip.compress(content) if packed else content
    head = b"Content-Length: %d\r\n" % len(sent) + packed * b"Content-Encoding: gzip\r\n"
    with pytest.raises(NoImageServer, match="without an end"):
        Catalogue(says(head + b"\r\n", iter([sent]))).aliases(timeout=30)


def test_an_index_that_is_nested_without_end_is_none(server: Streams, source: ImageSource) -> None:
    server.files["streams/v1/index.json"] = b"[" * 200_000
    with pytest.raises(NoImageServer, match="no such index"):
        Catalogue(source).aliases(timeout=30)
