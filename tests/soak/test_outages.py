"""A full disk, one that can only be read, no queue, no database: for real, and back again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.incus_node import wait_until
from tests.soak.database import Database
from tests.soak.panel import PATIENCE, Panel

pytestmark = pytest.mark.processes


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    folder = tmp_path / "data"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", folder],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        reason = "a disk of its own takes the right to mount"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def panel(disk: Path) -> Iterator[Panel]:
    # The queue has a place of its own: it takes no part in what happens to the disk.
    panel = Panel(disk, {"BERTH_QUEUE_URL": f"sqlite:///{disk.parent / 'queue.sqlite3'}"})
    try:
        panel.start()
        yield panel
    finally:
        panel.stop()


def fill(disk: Path) -> Path:
    """Write until nothing more goes in."""
    ballast = disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return ballast


def remount(disk: Path, how: str) -> bool:
    done = subprocess.run(["mount", "-o", f"remount,{how}", disk], check=False)
    return done.returncode == 0


def test_a_full_disk_is_said_and_over_when_there_is_room(panel: Panel, disk: Path) -> None:
    ballast = fill(disk)
    assert panel.start_a_container() is None
    wait_until(lambda: panel.says("web", "is full") > 0)
    wait_until(lambda: panel.says("watcher", "is full") > 0)
    ballast.unlink()
    wait_until(lambda: panel.start_a_container() is not None, PATIENCE)
    wait_until(panel.runs, PATIENCE)
    assert panel.says("web", "Traceback") == panel.says("watcher", "Traceback") == 0
    wait_until(lambda: panel.says("watcher", "it is back") > 0, PATIENCE)


def test_a_disk_that_can_only_be_read_is_said_and_over(panel: Panel, disk: Path) -> None:
    # The kernel refuses while a file is open for writing; a process' children die after it.
    panel.stop()
    wait_until(lambda: remount(disk, "ro"))
    panel.run_all()
    assert panel.start_a_container() is None
    wait_until(lambda: panel.says("web", "503 POST") > 0)
    wait_until(lambda: panel.says("watcher", "the watcher goes on as soon as") > 0)
    assert remount(disk, "rw")
    wait_until(lambda: panel.start_a_container() is not None, PATIENCE)
    wait_until(panel.runs, PATIENCE)


def test_work_goes_on_without_the_queue_that_was_deleted(panel: Panel, disk: Path) -> None:
    for file in disk.parent.glob("queue.sqlite3*"):
        file.unlink()
    panel.restart_worker()
    assert panel.start_a_container() is not None
    wait_until(panel.runs, PATIENCE)


def test_a_database_that_is_stopped_is_said_and_work_goes_on_when_it_is_back(
    tmp_path: Path,
) -> None:
    database = Database()
    panel = Panel(tmp_path / "data", {"BERTH_DATABASE_URL": database.url})
    try:
        database.start()
        panel.start()
        assert panel.start_a_container() is not None
        database.stop()
        page = panel.page("/account/login/")
        assert page.status_code == 503
        assert "Out of order for a moment" in page.text
        wait_until(lambda: panel.says("watcher", "the watcher goes on as soon as") > 0)
        database.start()
        wait_until(panel.runs, PATIENCE)
        wait_until(lambda: panel.says("watcher", "it is back") > 0, PATIENCE)
        for name in panel.processes:
            assert panel.says(name, "Traceback") == 0, panel.log(name).read_text()
        assert panel.says("watcher", "the watcher goes on as soon as") == 1
    finally:
        panel.stop()
        database.destroy()
