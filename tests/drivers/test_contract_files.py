"""What every driver promises, of whatever kind its node is: files of a stopped container."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import pytest

from containers.drivers import BadPath, FileChanged, FileInfo, FileKind

from .conftest import Nodes


@dataclass(frozen=True)
class Files:
    """A stopped container, and the work on its files."""

    nodes: Nodes
    name: str

    def read(self, path: str) -> bytes:
        return b"".join(self.nodes.here.read_file(self.name, path))

    def write(self, path: str, content: bytes, version: str | None = None) -> FileInfo:
        return self.nodes.here.write_file(self.name, path, BytesIO(content), version=version)

    def info(self, path: str) -> FileInfo:
        return self.nodes.here.file_info(self.name, path)

    def list(self, path: str) -> dict[str, FileInfo]:
        entries = self.nodes.here.list_folder(self.name, path)
        found = {entry.name: entry for entry in entries}
        assert len(found) == len(entries)
        return found

    def make_folder(self, path: str) -> None:
        self.nodes.here.make_folder(self.name, path)

    def rename(self, path: str, to: str) -> None:
        self.nodes.here.rename(self.name, path, to)

    def remove(self, path: str) -> None:
        self.nodes.here.remove(self.name, path)

    def link(self, path: str, target: str) -> None:
        self.nodes.put_link(self.name, path, target)


@pytest.fixture
def files(nodes: Nodes, stopped: str) -> Files:
    found = Files(nodes, stopped)
    found.make_folder("/box")
    return found


def bad(call: Callable[..., object], *arguments: str) -> None:
    with pytest.raises(BadPath):
        call(*arguments)


def test_the_root_holds_a_system(files: Files) -> None:
    root = files.list("/")
    assert {"etc", "root", "tmp"} <= root.keys()
    assert root["etc"].kind is FileKind.FOLDER
    assert root["etc"].size == len(files.list("/etc"))
    assert files.info("/").kind is FileKind.FOLDER
    assert files.list("/etc")["passwd"] == files.info("/etc/passwd")
    assert files.info("/etc/passwd").modified


def test_folders_are_listed_first_and_then_by_name(files: Files) -> None:
    for name in ("b", "d"):
        files.make_folder(f"/box/{name}")
    for name in ("c", "a", "e"):
        files.write(f"/box/{name}", b"")
    files.link("/box/aa", "b")
    assert list(files.list("/box")) == ["b", "d", "a", "aa", "c", "e"]


def test_a_new_file_is_readable_by_all_and_owned_by_root(files: Files) -> None:
    written = files.write("/box/new", b"hello\n")
    assert (written.name, written.kind, written.size) == ("new", FileKind.FILE, 6)
    assert (written.mode, written.uid, written.gid) == (0o644, 0, 0)
    assert files.info("/box/new") == written
    assert files.read("/box/new") == b"hello\n"


def test_an_empty_file_is_a_file(files: Files) -> None:
    assert files.write("/box/empty", b"").size == 0
    assert files.read("/box/empty") == b""


@pytest.mark.parametrize("mode", [0o640, 0o6755, 0o1640])
def test_a_file_that_is_replaced_keeps_its_mode_and_owner(files: Files, mode: int) -> None:
    files.write("/box/secret", b"old")
    uid, gid = files.nodes.mark(files.name, "/box/secret", mode)
    written = files.write("/box/secret", b"new and longer")
    assert (written.mode, written.uid, written.gid) == (mode, uid, gid)
    assert files.read("/box/secret") == b"new and longer"
    assert files.write("/box/secret", b"s").size == 1
    assert files.read("/box/secret") == b"s"


def test_a_large_binary_file_comes_back_as_it_was_and_in_pieces(files: Files) -> None:
    content = os.urandom(1 << 20) * 20
    assert files.write("/box/large", content).size == len(content)
    digest, pieces = hashlib.sha256(), 0
    for piece in files.nodes.here.read_file(files.name, "/box/large"):
        assert len(piece) <= 1 << 20
        digest.update(piece)
        pieces += 1
    assert pieces >= 20
    assert digest.digest() == hashlib.sha256(content).digest()


def test_an_upload_that_breaks_off_leaves_what_was_there(files: Files) -> None:
    class Broken(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 200_000:
                raise ConnectionResetError
            return super().read(min(size or -1, 65536) if size and size > 0 else 65536)

    files.write("/box/page", b"old")
    before = files.list("/box")
    for path in ("/box/page", "/box/other"):
        with pytest.raises(ConnectionResetError):
            files.nodes.here.write_file(files.name, path, Broken(bytes(1_000_000)))
    assert files.list("/box") == before
    assert files.read("/box/page") == b"old"


def test_the_version_changes_with_the_content(files: Files) -> None:
    versions = [files.write("/box/page", content).version for content in (b"one", b"two", b"six")]
    assert len({*versions}) == 3
    assert files.info("/box/page").version == versions[-1]


def test_a_write_of_the_version_that_was_read_goes_through(files: Files) -> None:
    version = files.write("/box/page", b"old").version
    files.write("/box/page", b"new", version)
    assert files.read("/box/page") == b"new"


def test_a_write_of_an_outdated_version_changes_nothing(files: Files) -> None:
    version = files.write("/box/page", b"old").version
    files.write("/box/page", b"new")
    with pytest.raises(FileChanged):
        files.write("/box/page", b"mine", version)
    assert files.read("/box/page") == b"new"


def test_a_write_of_a_file_that_was_removed_meanwhile_does_not_bring_it_back(files: Files) -> None:
    version = files.write("/box/page", b"old").version
    files.remove("/box/page")
    with pytest.raises(FileChanged):
        files.write("/box/page", b"mine", version)
    assert not files.list("/box")


def test_the_empty_version_stands_for_no_file(files: Files) -> None:
    files.write("/box/page", b"first", "")
    with pytest.raises(FileChanged):
        files.write("/box/page", b"second", "")
    assert files.read("/box/page") == b"first"


def test_a_long_folder_is_listed_and_counted_as_far_as_anybody_reads(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        files.write(f"/box/{number}", b"")
    counted = files.info("/box")
    assert (counted.size, counted.items) == (8, "8")
    for module in ("incus.files", "simulated.rootfs"):
        monkeypatch.setattr(f"containers.drivers.{module}.MAX_LISTED", 5)
        monkeypatch.setattr(f"containers.drivers.{module}.MAX_COUNTED", 5)
    assert files.info("/box").size == 6
    assert len(files.list("/box")) == 5
    assert {files.info(f"/box/{number}").name for number in range(8)} == set("01234567")


def test_an_entry_of_a_folder_that_is_a_link_can_be_asked_about_itself(files: Files) -> None:
    files.write("/box/file", b"content")
    files.link("/box/link", "file")
    files.link("/box/dangling", "none")

    def entry(path: str) -> FileInfo:
        return files.nodes.here.file_info(files.name, path, follow=False)

    assert [entry(f"/box/{name}") for name in ("dangling", "file", "link")] == list(
        files.list("/box").values()
    )
    assert entry("/box").kind is FileKind.FOLDER
    for path in ("/", "/box/none", "/box/.."):
        bad(entry, path)


def test_a_new_folder_is_open_to_all_and_owned_by_root(files: Files) -> None:
    files.make_folder("/box/inner")
    made = files.list("/box")["inner"]
    assert (made.kind, made.size) == (FileKind.FOLDER, 0)
    assert (made.mode, made.uid, made.gid) == (0o755, 0, 0)


def test_a_folder_is_made_only_where_nothing_is_in_a_folder_that_is(files: Files) -> None:
    files.write("/box/file", b"")
    files.link("/box/dangling", "nowhere")
    for path in ("/box", "/box/file", "/box/dangling", "/", "/box/none/inner", "/box/file/inner"):
        bad(files.make_folder, path)
    assert files.list("/box").keys() == {"file", "dangling"}


def test_files_folders_and_links_are_renamed(files: Files) -> None:
    files.make_folder("/box/folder")
    files.write("/box/folder/file", b"kept")
    files.link("/box/link", "folder/file")
    files.rename("/box/folder/file", "/box/folder/other")
    files.rename("/box/folder", "/box/moved")
    files.rename("/box/link", "/box/moved/link")
    assert files.read("/box/moved/other") == b"kept"
    assert files.list("/box").keys() == {"moved"}
    assert files.list("/box/moved")["link"].target == "folder/file"


def test_renaming_overwrites_nothing_and_makes_no_circle(files: Files) -> None:
    files.make_folder("/box/folder")
    files.write("/box/file", b"file")
    files.write("/box/other", b"other")
    files.link("/box/dangling", "nowhere")
    for to in ("/box/other", "/box/folder", "/box/dangling", "/", "/box/none/file"):
        bad(files.rename, "/box/file", to)
    bad(files.rename, "/box/none", "/box/new")
    bad(files.rename, "/", "/box/new")
    bad(files.rename, "/box/folder", "/box/folder/inner")
    assert files.read("/box/file") == b"file"
    assert files.read("/box/other") == b"other"
    assert files.list("/box").keys() == {"folder", "file", "other", "dangling"}


def test_a_folder_goes_with_all_that_is_in_it_and_nothing_else(files: Files) -> None:
    files.make_folder("/box/kept")
    files.write("/box/kept/file", b"kept")
    files.make_folder("/box/folder")
    files.make_folder("/box/folder/inner")
    files.write("/box/folder/inner/file", b"")
    files.link("/box/folder/relative", "../kept")
    files.link("/box/folder/inner/absolute", "/box/kept")
    files.remove("/box/folder")
    assert files.list("/box").keys() == {"kept"}
    assert files.read("/box/kept/file") == b"kept"


def test_removing_a_link_leaves_what_it_points_to(files: Files) -> None:
    files.make_folder("/box/folder")
    files.write("/box/folder/file", b"kept")
    files.link("/box/to-file", "folder/file")
    files.link("/box/to-folder", "/box/folder")
    files.link("/box/dangling", "nowhere")
    for name in ("to-file", "to-folder", "dangling"):
        files.remove(f"/box/{name}")
    assert files.list("/box").keys() == {"folder"}
    assert files.read("/box/folder/file") == b"kept"


def test_what_is_not_there_and_the_root_cannot_be_removed(files: Files) -> None:
    for path in ("/", "/..", "/box/..", "/box/none", "/box/none/deeper", "/etc/passwd/x"):
        bad(files.remove, path)
    assert {"etc", "box"} <= files.list("/").keys()


def test_links_are_shown_as_links_and_followed_inside(files: Files) -> None:
    files.make_folder("/box/folder")
    files.write("/box/folder/file", b"content")
    files.link("/box/relative", "folder/file")
    files.link("/box/absolute", "/box/folder/file")
    files.link("/box/twice", "absolute")
    files.link("/box/to-folder", "/box/folder")
    shown = files.list("/box")["absolute"]
    assert (shown.kind, shown.target) == (FileKind.LINK, "/box/folder/file")
    for path in ("relative", "absolute", "twice", "to-folder/file", "to-folder/../folder/file"):
        assert files.read(f"/box/{path}") == b"content"
        assert files.info(f"/box/{path}").kind is FileKind.FILE
    assert files.list("/box/to-folder").keys() == {"file"}
    files.write("/box/twice", b"changed")
    assert files.read("/box/folder/file") == b"changed"
    assert files.list("/box")["twice"].kind is FileKind.LINK


def test_no_link_leads_out(files: Files) -> None:
    files.link("/box/up", "../../../../../../../../../../../../box")
    files.link("/box/proc", "/proc/self/root/etc/hostname")
    files.link("/box/out", "../" * 30 + "proc/self/environ")
    assert files.list("/box/up").keys() == {"up", "proc", "out"}
    bad(files.read, "/box/proc")
    bad(files.read, "/box/out")
    bad(files.list, "/box/out")


def test_links_in_a_circle_are_no_file(files: Files) -> None:
    files.link("/box/one", "two")
    files.link("/box/two", "/box/one")
    files.link("/box/self", "self/deeper")
    for name in ("one", "two", "self"):
        bad(files.read, f"/box/{name}")
        bad(files.info, f"/box/{name}")
        bad(files.list, f"/box/{name}/x")
    files.remove("/box/one")


def test_the_parent_of_the_root_is_the_root(files: Files) -> None:
    files.write("/box/file", b"inside")
    assert files.list("/../../..") == files.list("/")
    assert files.read("/../../box/../../box/./file") == b"inside"
    files.write("/../../../box/new", b"")
    assert files.list("/box").keys() == {"file", "new"}


def test_a_folder_is_no_file_and_a_file_is_no_folder(files: Files) -> None:
    files.write("/box/file", b"content")
    bad(files.read, "/box")
    bad(files.list, "/box/file")
    bad(files.info, "/box/file/x")
    bad(files.read, "/box/none")
    bad(files.info, "/box/none")
    bad(files.list, "/box/none")
    with pytest.raises(BadPath):
        files.write("/box", b"")
    with pytest.raises(BadPath):
        files.write("/box/none/file", b"")
    with pytest.raises(BadPath):
        files.write("/", b"")
    assert files.list("/box").keys() == {"file"}


def test_what_is_no_path_is_refused(files: Files) -> None:
    for path in ("", "etc/passwd", "../etc/passwd", "/etc/pass\0wd", "/" + "x" * 256):
        bad(files.info, path)
        bad(files.read, path)
        bad(files.make_folder, path)
        with pytest.raises(BadPath):
            files.write(path, b"")


def test_a_file_may_have_any_name(files: Files) -> None:
    for name in ("a b", "-rf", "ünïcödé ☃", "50%?&#+.txt", "'\"<b>", "x" * 255):
        files.write(f"/box/{name}", b"content")
        assert files.list("/box").keys() == {name}
        assert files.read(f"/box/{name}") == b"content"
        files.rename(f"/box/{name}", "/box/plain")
        files.rename("/box/plain", f"/box/{name}")
        files.remove(f"/box/{name}")
        assert not files.list("/box")
