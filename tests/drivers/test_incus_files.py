"""What the Incus driver promises of files beyond the contract."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from containers.drivers import MAX_DEPTH, BadPath, Refused, Spec
from containers.drivers.incus import IncusDriver, files
from tests.incus_node import IMAGE, IncusNode

from .conftest import finish

pytestmark = pytest.mark.incus

_numbers = count(1)


@pytest.fixture
def driver(incus_drivers: list[IncusDriver]) -> IncusDriver:
    return incus_drivers[0]


@pytest.fixture
def stopped(driver: IncusDriver) -> Iterator[str]:
    name = f"ct-{os.getpid()}-f{next(_numbers)}"
    finish(driver.create(Spec(name, "web.example.org", IMAGE, 1, 64, 1)))
    driver.make_folder(name, "/site")
    yield name
    finish(driver.delete(name))


@pytest.fixture
def site(servers: list[IncusNode], stopped: str) -> Path:
    """The folder /site of it, as the server itself sees it."""
    [found] = servers[0].folder.glob(f"storage-pools/default/containers/*{stopped}/rootfs/site")
    return found


def test_a_folder_that_is_nested_too_deeply_to_be_deleted_is_left_whole(
    driver: IncusDriver, stopped: str, site: Path
) -> None:
    with files.session(driver.client, stopped) as sftp:
        for depth in range(1, MAX_DEPTH + 1):
            sftp.make_folder("/site" + "/n" * depth)
    (site / "page.html").touch()
    with pytest.raises(BadPath):
        driver.remove(stopped, "/site")
    assert (site / "page.html").exists()
    driver.remove(stopped, "/site/n")
    driver.remove(stopped, "/site")
    assert not site.exists()


def test_a_folder_that_is_deleted_half_way_is_not_called_untouched(
    driver: IncusDriver, stopped: str, site: Path
) -> None:
    for number in range(3):
        (site / f"page{number}.html").touch()
    kept = site / "page1.html"
    subprocess.run(["chattr", "+i", kept], check=True)
    try:
        with pytest.raises(Refused) as caught:
            driver.remove(stopped, "/site")
    finally:
        subprocess.run(["chattr", "-i", kept], check=True)
    assert list(site.iterdir()) == [kept]
    assert "Only a part" in caught.value.sentence
