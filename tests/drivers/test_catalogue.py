"""What an image server says that it has; no Incus is needed for that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from containers.drivers import ImageSource, NoImageServer
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
    assert Catalogue(source).aliases(timeout=4) == names


@pytest.mark.parametrize("kind", ["disk-kvm.img", "squashfs"])
def test_what_is_for_virtual_machines_or_without_a_description_is_not_there(
    server: Streams, source: ImageSource, kind: str
) -> None:
    server.offer("debian/12", kind=kind)
    assert not Catalogue(source).aliases(timeout=4)


def test_an_index_that_has_not_changed_is_not_fetched_again(
    server: Streams, source: ImageSource
) -> None:
    server.offer("debian/12")
    catalogue = Catalogue(source)
    first = catalogue.aliases(timeout=4)
    server.asked.clear()
    assert catalogue.aliases(timeout=4) == first
    assert [status for _, status in server.asked] == [304, 304]
    server.offer("debian/13")
    assert "debian/13" in catalogue.aliases(timeout=4)


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
            Catalogue(broken).aliases(timeout=4)
    server.files["streams/v1/index.json"] = b"[]"
    server.version += 1
    with pytest.raises(NoImageServer, match="no such index"):
        Catalogue(source).aliases(timeout=4)
