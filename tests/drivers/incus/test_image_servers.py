"""Real nodes that fetch from image servers: from another Incus, and from a folder of files."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from containers.drivers import (
    DriverError,
    ImageSource,
    NoImageServer,
    NoSuchImage,
    NoSuchInstance,
    Power,
    Spec,
)
from containers.drivers.incus import IncusDriver, operations
from containers.drivers.incus.catalogue import Catalogue
from tests.drivers.conftest import finish, refusal, walk_away
from tests.image_server import Streams, simplestreams
from tests.incus_node import IMAGE, PROJECT, IncusNode, free_port

pytestmark = pytest.mark.incus

_numbers = count(1)


@pytest.fixture
def name(servers: list[IncusNode], driver: IncusDriver) -> Iterator[str]:
    """A name that nobody has. At the end it is gone, and with it whatever was fetched."""
    fresh = f"ct-{os.getpid()}-i{next(_numbers)}"
    yield fresh
    servers[1].resume()
    with suppress(NoSuchInstance):
        finish(driver.stop(fresh, force=True))
    finish(driver.delete(fresh))
    for image in servers[0].query(f"/1.0/images?project={PROJECT}&recursion=1"):
        if not image["aliases"]:
            servers[0].incus("image", "delete", image["fingerprint"], f"--project={PROJECT}")


@pytest.fixture(scope="session")
def image(
    servers: list[IncusNode],
    incus_drivers: list[IncusDriver],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The test image in other bytes, so that no node has it."""
    file = tmp_path_factory.mktemp("image") / "image"
    servers[1].incus("image", "export", IMAGE, str(file), f"--project={PROJECT}")
    packed = file.with_suffix(".tar.gz")
    packed.write_bytes(gzip.compress(gzip.decompress(packed.read_bytes()), 1))
    return packed


@pytest.fixture
def incus_server(servers: list[IncusNode], image: Path) -> Iterator[ImageSource]:
    """The second server, which shows `open/1` to everybody and `shut/1` to nobody."""
    other = servers[1]
    other.incus("image", "import", str(image), "--alias=open/1", "--public")
    other.incus(
        "image",
        "copy",
        f"local:{IMAGE}",
        "local:",
        f"--project={PROJECT}",
        "--target-project=default",
        "--alias=shut/1",
    )
    yield ImageSource(
        f"https://{other.address}", "incus", (other.folder / "server.crt").read_text()
    )
    other.resume()
    other.incus("image", "delete", "open/1")
    other.incus("image", "delete", "shut/1")


@pytest.fixture
def streams(tmp_path: Path, image: Path) -> Iterator[Streams]:
    with simplestreams(tmp_path) as streams:
        streams.offer("open/1", image.read_bytes())
        yield streams


@pytest.fixture
def simplestreams_server(streams: Streams) -> ImageSource:
    return ImageSource(streams.url, "simplestreams", streams.certificate.read_text())


@pytest.fixture(params=["incus", "simplestreams"])
def source(request: pytest.FixtureRequest) -> ImageSource:
    found: ImageSource = request.getfixturevalue(f"{request.param}_server")
    return found


def spec(name: str, source: ImageSource, alias: str = "open/1") -> Spec:
    key = "ssh-ed25519 AAAAC3 lena"
    return Spec(name, "web", f"own:{alias}", 1, 128, 1, key, source=source)


def test_a_node_fetches_what_it_does_not_have(
    driver: IncusDriver, name: str, source: ImageSource
) -> None:
    finish(driver.create(spec(name, source)))
    finish(driver.create(spec(name, source)))
    made = driver.instance(name)
    assert made
    assert made.power is Power.STOPPED
    assert driver.describe(name).image == "own:open/1"
    assert driver.file_info(name, "/root/.ssh/authorized_keys").size
    assert driver.images() == [IMAGE]
    finish(driver.start(name))


def test_a_server_tells_a_stranger_what_is_public_and_no_more(incus_server: ImageSource) -> None:
    assert Catalogue(incus_server).aliases(timeout=30) == {"open/1"}


@pytest.mark.parametrize("alias", ["none/1", "shut/1"])
def test_what_a_server_does_not_show_is_no_such_image(
    driver: IncusDriver, name: str, source: ImageSource, alias: str
) -> None:
    assert isinstance(refusal(driver.create(spec(name, source, alias))), NoSuchImage)
    assert driver.instance(name) is None


def test_a_server_that_cannot_be_reached_is_not_taken_for_the_node(
    driver: IncusDriver, name: str, source: ImageSource
) -> None:
    nowhere = replace(source, url=f"https://127.0.0.1:{free_port()}")
    failure = refusal(driver.create(spec(name, nowhere)))
    assert isinstance(failure, NoImageServer)
    assert not failure.final
    assert "server that this system comes from" in failure.sentence
    finish(driver.create(spec(name, source)))


def test_a_server_with_another_certificate_is_not_fetched_from(
    driver: IncusDriver, name: str, source: ImageSource
) -> None:
    forged = replace(source, certificate=driver.server.certificate)
    assert isinstance(refusal(driver.create(spec(name, forged))), NoImageServer)


def test_fetching_shows_how_far_it_is(
    driver: IncusDriver, name: str, streams: Streams, simplestreams_server: ImageSource
) -> None:
    streams.pause = 0.15
    seen = finish(driver.create(spec(name, simplestreams_server)))
    fetched = [each.percent or 0 for each in seen if each.step == "Fetching the system"]
    assert fetched == sorted(fetched)
    assert 0 < fetched[0] < fetched[-1] <= 100


def test_whoever_comes_after_a_crash_joins_the_fetching(
    driver: IncusDriver, name: str, streams: Streams, simplestreams_server: ImageSource
) -> None:
    streams.pause = 0.05
    walk_away(driver.create(spec(name, simplestreams_server)))
    finish(driver.create(spec(name, simplestreams_server)))
    assert driver.instance(name)
    assert streams.asked.count(("/image.tar.gz", 200)) == 1


def test_a_server_that_breaks_off_is_tried_again_and_leaves_nothing_behind(
    driver: IncusDriver, name: str, streams: Streams, simplestreams_server: ImageSource
) -> None:
    streams.pause, streams.breaks_off = 0.05, True
    failure = refusal(driver.create(spec(name, simplestreams_server)))
    assert isinstance(failure, NoImageServer)
    assert driver.instance(name) is None
    streams.pause, streams.breaks_off = 0, False
    finish(driver.create(spec(name, simplestreams_server)))


def test_a_server_that_says_nothing_is_given_up_and_joined_again(
    servers: list[IncusNode], driver: IncusDriver, name: str, incus_server: ImageSource,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(operations, "SILENCE", 1)
    servers[1].pause()
    walk_away(driver.create(spec(name, incus_server)))
    sign = next(driver.delete(name))
    assert not sign.begun  # Incus deletes nothing that it is still creating
    asked: list[DriverError] = [
        refusal(driver.create(spec(name, incus_server))),
        refusal(driver.create(spec(name, incus_server))),
        refusal(driver.delete(name)),
    ]
    assert {type(failure) for failure in asked} == {NoImageServer}
    assert driver.instances() is not None
    servers[1].resume()
    finish(driver.create(spec(name, incus_server)))
