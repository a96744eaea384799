"""What the Incus driver promises of files beyond the contract."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from containers.drivers import MAX_DEPTH, BadPath, BrokenOff, Conflict, Power, Refused
from containers.drivers.incus import Client, IncusDriver, files
from containers.drivers.incus.sftp import Sftp
from tests.drivers.conftest import finish
from tests.incus_node import PROJECT, IncusNode

from .conftest import power, spec

pytestmark = pytest.mark.incus


@pytest.fixture
def stopped(driver: IncusDriver, name: str) -> str:
    finish(driver.create(spec(name)))
    driver.make_folder(name, "/site")
    return name


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


def test_a_server_that_ends_a_session_is_asked_again(driver: IncusDriver, name: str) -> None:
    class Ended:
        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            return b""

        def write(self, buffer: bytes, timeout: float | None = None) -> None: ...

    @contextmanager
    def upgraded(path: str, protocol: str) -> Iterator[Ended]:
        yield Ended()

    client = cast(Client, SimpleNamespace(upgraded=upgraded, server=driver.server))
    with pytest.raises(BrokenOff) as broken_off, files.session(client, name):
        pass
    assert not broken_off.value.final


def test_no_link_leads_to_the_files_of_the_server(
    node: IncusNode, driver: IncusDriver, name: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    finish(driver.create(spec(name)))
    above = "../" * 40
    targets = {
        "file": str(secret),
        "folder": str(tmp_path),
        "up": f"{above}{str(secret).lstrip('/')}",
        "root": f"{above}proc/1/root",
        "pool": f"{above}storage-pools",
    }
    for link, target in targets.items():
        node.incus(
            "file", "create", "--type=symlink", f"{name}/root/{link}", target,
            f"--project={PROJECT}",
        )  # fmt: skip
    for path in ("file", "up", "folder/secret", "root/etc/hostname"):
        with pytest.raises(BadPath):
            driver.read_file(name, f"/root/{path}")
        with pytest.raises(BadPath):
            driver.write_file(name, f"/root/{path}", BytesIO(b"mine"))
        with pytest.raises(BadPath):
            driver.file_info(name, f"/root/{path}")
    for path in ("folder", "root", "pool"):
        with pytest.raises(BadPath):
            driver.list_folder(name, f"/root/{path}")
        with pytest.raises(BadPath):
            driver.make_folder(name, f"/root/{path}/new")
        driver.remove(name, f"/root/{path}")
    assert secret.read_text() == "secret"
    assert list(tmp_path.iterdir()) == [secret]


def test_names_need_not_be_utf_8(driver: IncusDriver, name: str) -> None:
    finish(driver.create(spec(name)))
    odd = os.fsdecode(b"caf\xe9")
    driver.write_file(name, f"/root/{odd}", BytesIO(b"content"))
    assert odd in [found.name for found in driver.list_folder(name, "/root")]
    assert b"".join(driver.read_file(name, f"/root/{odd}")) == b"content"
    driver.remove(name, f"/root/{odd}")


def test_a_folder_with_thousands_of_entries_is_listed_and_removed(
    driver: IncusDriver, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(driver.create(spec(name)))
    driver.make_folder(name, "/root/many")
    with files.session(driver.client, name) as sftp:
        for number in range(500):
            sftp.make_folder(f"/root/many/{number}")
            sftp.make_folder(f"/root/many/{number}/inner")
    said: list[str] = []

    def noted(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            said.append(method.__name__)
            return method(*args)

        return call

    monkeypatch.setattr(Sftp, "_write", noted(Sftp._write))
    monkeypatch.setattr(Sftp, "_packet", noted(Sftp._packet))
    listed = driver.list_folder(name, "/root/many")
    assert {(found.size) for found in listed} == {1}
    assert len(listed) == 500
    driver.remove(name, "/root/many")
    waits = sum(pair == ("_write", "_packet") for pair in pairwise(said))
    assert waits < 500, "each entry is asked about by itself"
    assert "many" not in [found.name for found in driver.list_folder(name, "/root")]


def test_a_download_that_is_given_up_holds_nothing(driver: IncusDriver, name: str) -> None:
    finish(driver.create(spec(name)))
    driver.write_file(name, "/root/large", BytesIO(bytes(5 << 20)))
    pieces = driver.read_file(name, "/root/large")
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    finish(driver.start(name))
    assert power(driver, name) is Power.RUNNING


def test_whoever_wants_the_files_of_what_runs_is_told_why_not(
    driver: IncusDriver, running: str
) -> None:
    with pytest.raises(Conflict) as caught:
        driver.list_folder(running, "/")
    assert "only while the container is stopped" in caught.value.sentence
