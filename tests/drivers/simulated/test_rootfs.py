"""Whatever a container's files and the paths asked for are like, nothing leads outside."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from containers.drivers import BadPath, DriverError, FileKind
from containers.drivers.simulated.copy import copy_tree, fingerprint
from containers.drivers.simulated.rootfs import Rootfs

SECRET = b"the host's own"

steps = some.sampled_from(["a", "b", "c", "..", ".", "", "secret", "outside"])
relative = some.lists(steps, min_size=1, max_size=6).map("/".join)
paths = some.one_of(relative.map("/{}".format), relative, some.text(max_size=8))
targets = some.one_of(
    relative,
    relative.map("/{}".format),
    some.sampled_from(["OUTSIDE", "OUTSIDE/secret", "../../outside/secret", "../../../outside"]),
)
entries = some.tuples(
    some.sampled_from(["file", "folder", "link"]),
    some.lists(some.sampled_from("abc"), min_size=1, max_size=3),
    targets,
)
calls = some.tuples(
    some.sampled_from(["list", "info", "read", "write", "make", "rename", "remove"]), paths, paths
)
Entry = tuple[Literal["file", "folder", "link"], list[str], str]
Call = tuple[str, str, str]


@pytest.fixture
def files(tmp_path: Path) -> Rootfs:
    (tmp_path / "rootfs").mkdir()
    return Rootfs(tmp_path / "rootfs", tmp_path / "aside")


def write(files: Rootfs, path: str, content: bytes) -> None:
    files.put(files.stage(BytesIO(content)), path, None)


def grow(base: Path, tree: list[Entry]) -> None:
    """Make what can be made of `tree` in `base/rootfs`, without ever following a link."""
    for kind, way, target in tree:
        folder = base / "rootfs"
        for step in way[:-1]:
            folder /= step
            if not os.path.lexists(folder):
                folder.mkdir()
            if folder.is_symlink() or not folder.is_dir():
                break
        else:
            place = folder / way[-1]
            if os.path.lexists(place):
                continue
            if kind == "file":
                place.write_bytes(b"inside")
            elif kind == "folder":
                place.mkdir()
            else:
                place.symlink_to(target.replace("OUTSIDE", str(base / "outside")) or ".")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=some.lists(entries, max_size=12), asked=some.lists(calls, min_size=1, max_size=12))
def test_nothing_outside_is_ever_read_or_changed(tree: list[Entry], asked: list[Call]) -> None:
    with TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "outside").mkdir()
        (base / "outside/secret").write_bytes(SECRET)
        (base / "rootfs").mkdir()
        grow(base, tree)
        files = Rootfs(base / "rootfs", base / "outside/aside")
        (base / "outside/aside").mkdir()
        before = fingerprint(base / "outside")
        for doing, path, other in asked:
            with suppress(DriverError):
                if doing == "list":
                    assert "aside" not in [entry.name for entry in files.list_folder(path)]
                elif doing == "info":
                    assert files.file_info(path).size != len(SECRET)
                elif doing == "read":
                    assert b"".join(files.read(path)) in (b"inside", b"written")
                elif doing == "write":
                    staged = files.stage(BytesIO(b"written"))
                    try:
                        files.put(staged, path, None)
                    finally:
                        staged.unlink(missing_ok=True)
                elif doing == "make":
                    files.make_folder(path)
                elif doing == "rename":
                    files.rename(path, other)
                else:
                    files.remove(path)
        assert (base / "rootfs").is_dir()
        assert {entry.name for entry in base.iterdir()} == {"outside", "rootfs"}
        assert fingerprint(base / "outside") == before


@contextmanager
def swapping(folder: Path, outside: Path) -> Iterator[None]:
    """While in the block, `folder` is by turns itself and a link to `outside`."""
    done, aside = threading.Event(), folder.with_name("away")

    def swap() -> None:
        while not done.is_set():
            folder.rename(aside)
            folder.symlink_to(outside)
            folder.unlink()
            aside.rename(folder)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_a_folder_swapped_for_a_link_meanwhile_does_not_lead_out(
    files: Rootfs, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(SECRET)
    files.make_folder("/swap")
    write(files, "/swap/file", b"inside")
    before, reads = fingerprint(outside), 0
    with swapping(tmp_path / "rootfs/swap", outside):
        end = time.monotonic() + 0.4
        while not reads or time.monotonic() < end:
            with suppress(BadPath):
                assert b"".join(files.read("/swap/file")) == b"inside"
                reads += 1
            with suppress(BadPath):
                files.make_folder("/swap/made")
            with suppress(BadPath):
                files.remove("/swap/made")
    assert fingerprint(outside) == before


def test_names_that_are_no_text_are_listed_and_can_be_used(files: Rootfs) -> None:
    for name in (b"latin-\xe9", b"line\nbreak", b"bell\x07", b"\xff\xfe", b"-"):
        Path(os.fsdecode(os.fsencode(files.root) + b"/" + name)).write_bytes(b"content")
    for entry in files.list_folder("/"):
        assert b"".join(files.read(f"/{entry.name}")) == b"content"
        files.rename(f"/{entry.name}", f"/new {entry.name}")
        files.remove(f"/new {entry.name}")
    assert not files.list_folder("/")


@pytest.mark.parametrize("path", ["/\ud800", "/" + "a/" * 5000, "/a\0b", "/" + "../" * 4000, "~"])
def test_paths_that_no_system_knows_are_bad_paths(files: Rootfs, path: str) -> None:
    with pytest.raises(BadPath):
        files.file_info(path)


def test_folders_cannot_be_nested_until_they_cannot_be_removed(files: Rootfs) -> None:
    deepest = 0
    with suppress(BadPath):
        for deepest in range(1, 500):
            files.make_folder("/d" * deepest)
    assert 50 < deepest < 200
    files.make_folder("/tall")
    with pytest.raises(BadPath):
        files.rename("/d", "/tall/d")
    files.remove("/d")
    assert [entry.name for entry in files.list_folder("/")] == ["tall"]


def test_sockets_pipes_and_devices_are_never_opened(files: Rootfs) -> None:
    os.mkfifo(files.root / "pipe")
    if os.geteuid() == 0:
        os.mknod(files.root / "null", 0o20666, os.makedev(1, 3))
    (files.root / "link").symlink_to("pipe")
    for entry in files.list_folder("/"):
        assert entry.kind in (FileKind.OTHER, FileKind.LINK)
        with pytest.raises(BadPath):
            files.read(f"/{entry.name}")
        with pytest.raises(BadPath):
            files.check_writable(f"/{entry.name}", None)
        files.remove(f"/{entry.name}")


def test_owners_are_shown_as_they_are_inside(files: Rootfs) -> None:
    write(files, "/file", b"")
    assert (files.file_info("/file").uid, files.file_info("/file").gid) == (0, 0)
    if os.geteuid() == 0:
        os.chown(files.root, 100_000, 100_000)
        os.chown(files.root / "file", 100_033, 100_034)
        assert (files.file_info("/file").uid, files.file_info("/file").gid) == (33, 34)
        os.chown(files.root / "file", 5, 5)
        assert files.file_info("/file").uid == 65534
        write(files, "/new", b"")
        files.make_folder("/folder")
        assert files.file_info("/new").uid == files.file_info("/folder").gid == 0


def test_a_date_far_from_ours_spoils_no_list(files: Rootfs) -> None:
    write(files, "/file", b"")
    os.utime(files.root / "file", (2**40, 2**40))  # some file systems keep it, some do not
    modified = files.list_folder("/")[0].modified
    assert modified is None or modified.year > 2100


def test_a_copy_is_the_same_in_every_mark(files: Rootfs, tmp_path: Path) -> None:
    files.make_folder("/folder")
    write(files, "/folder/file", b"content")
    (files.root / "folder/file").chmod(0o4711)
    (files.root / "folder/link").symlink_to("/etc/passwd")
    os.mkfifo(files.root / "pipe", 0o600)
    (files.root / "folder").chmod(0o1750)
    copy_tree(files.root, tmp_path / "copy")
    assert fingerprint(tmp_path / "copy") == fingerprint(files.root)
    for path in ("folder", "folder/file", "folder/link", "pipe"):
        old, new = (files.root / path).lstat(), (tmp_path / "copy" / path).lstat()
        assert (old.st_mode, old.st_mtime_ns) == (new.st_mode, new.st_mtime_ns)
    (tmp_path / "copy/folder/file").chmod(0o711)
    assert fingerprint(tmp_path / "copy") != fingerprint(files.root)
