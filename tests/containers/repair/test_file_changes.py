"""Upload, new folder, rename, delete: what would be lost is asked for, what is done is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.test import Client

from containers.drivers.simulated.rootfs import Rootfs
from containers.models import Container
from containers.repair.files import Files
from containers.statuses import Status
from tests.containers.repair.conftest import Disk

if TYPE_CHECKING:
    from pytest_django import Settings

CONF = "/etc/nginx/nginx.conf"


def sent(filename: str, content: bytes = b"new", **more: str) -> dict[str, object]:
    return {"file": SimpleUploadedFile(filename, content), **more}


def test_a_file_is_uploaded(disk: Disk, as_lena: Client) -> None:
    answer = as_lena.post(disk.url("file_upload", "/srv"), sent("site.tar", b"\0\r\n\xff"))
    assert answer["Location"] == disk.url("files", "/srv") + "&at=site.tar"
    assert disk.read("/srv/site.tar") == b"\0\r\n\xff"
    assert disk.history() == [("uploaded", "/srv/site.tar")]
    assert disk.container.file_changes.get().size == 4


def test_an_empty_file_is_a_file(disk: Disk, as_lena: Client) -> None:
    as_lena.post(disk.url("file_upload", "/srv"), sent("empty", b""))
    assert disk.read("/srv/empty") == b""


def test_an_upload_larger_than_memory_is_whole(disk: Disk, as_lena: Client) -> None:
    content = bytes(range(256)) * 4096 * 4  # above what Django keeps in memory
    as_lena.post(disk.url("file_upload", "/srv"), sent("large", content))
    assert disk.read("/srv/large") == content


def test_an_upload_can_be_given_another_name(disk: Disk, as_lena: Client) -> None:
    as_lena.post(disk.url("file_upload", "/srv"), sent("a b.txt", name="ä.txt"))
    assert disk.read("/srv/ä.txt") == b"new"


@pytest.mark.parametrize("name", ["../../../escape", "..\\escape", "/etc/escape"])
def test_the_name_of_an_upload_leads_nowhere_else(name: str, disk: Disk, as_lena: Client) -> None:
    as_lena.post(disk.url("file_upload", "/srv"), sent(name))
    assert disk.read("/srv/escape") == b"new"


def test_an_upload_asks_before_it_replaces(disk: Disk, as_lena: Client) -> None:
    before = disk.read(CONF)
    answer = as_lena.post(disk.url("file_upload", "/etc/nginx"), sent("nginx.conf"))
    assert answer.status_code == 409
    assert "nginx.conf is there already" in answer.content.decode()
    assert disk.read(CONF) == before
    assert disk.history() == []
    as_lena.post(disk.url("file_upload", "/etc/nginx"), sent("nginx.conf", replace="on"))
    assert disk.read(CONF) == b"new"
    assert disk.history() == [("replaced", CONF)]


def test_an_upload_replaces_whole_what_came_while_it_was_under_way(
    disk: Disk, as_lena: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Rootfs.stage

    def meanwhile(self: Rootfs, content: BinaryIO) -> Any:
        staged = stage(self, content)
        monkeypatch.setattr(Rootfs, "stage", stage)
        disk.write("/srv/site.tar", b"somebody else's")
        return staged

    monkeypatch.setattr(Rootfs, "stage", meanwhile)
    as_lena.post(disk.url("file_upload", "/srv"), sent("site.tar", b"all of it", replace="on"))
    assert disk.read("/srv/site.tar") == b"all of it"
    assert disk.history() == [("replaced", "/srv/site.tar")]


def test_an_upload_never_replaces_a_folder(disk: Disk, as_lena: Client) -> None:
    answer = as_lena.post(disk.url("file_upload", "/etc"), sent("nginx", replace="on"))
    assert answer.status_code == 422
    assert disk.has(CONF)
    assert disk.history() == []


@pytest.mark.parametrize("size", [1001, 200_000])
def test_an_upload_above_the_limit_is_refused_with_a_word(
    size: int, disk: Disk, as_lena: Client, settings: Settings
) -> None:
    settings.UPLOAD_LIMIT = 1000
    answer = as_lena.post(disk.url("file_upload", "/srv"), sent("large", b"x" * size))
    assert answer.status_code == 422
    assert "too large: 1000" in answer.content.decode()
    assert not disk.has("/srv/large")
    as_lena.post(disk.url("file_upload", "/srv"), sent("fits", b"x" * 1000))
    assert disk.has("/srv/fits")


def test_no_file_is_kept_that_nobody_asked_for(
    disk: Disk, as_lena: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's above all: each would take as much room as the largest upload."""
    kept = []
    stranger = Client(enforce_csrf_checks=True)
    stranger.get("/account/login/")
    new_file = TemporaryFileUploadHandler.new_file

    def noticed(self: TemporaryFileUploadHandler, field: str, *more: Any) -> None:
        kept.append(field)
        new_file(self, field, *more)

    monkeypatch.setattr(TemporaryFileUploadHandler, "new_file", noticed)
    upload = disk.url("file_upload", "/srv")
    large = b"x" * 3_000_000
    for who, place in [
        (Client(), "/account/login/"),
        (Client(), upload),
        (stranger, upload),
        (Client(), "/nowhere/"),
        (as_lena, disk.url("folder_new", "/srv")),
        (as_lena, "/orders/new/"),
    ]:
        answer = who.post(place, sent("large", large, login="lena", password="wrong"))
        assert answer.status_code < 500
    settings.UPLOAD_LIMIT = 1_000_000
    as_lena.post(upload, sent("large", large))
    assert not kept
    settings.UPLOAD_LIMIT = len(large)
    as_lena.post(upload, sent("large", large))
    assert kept == ["file"]


def test_an_upload_without_a_file_is_asked_again(disk: Disk, as_lena: Client) -> None:
    answer = as_lena.post(disk.url("file_upload", "/srv"), {"name": "typed"})
    assert answer.status_code == 422
    assert 'value="typed"' in answer.content.decode()


def test_a_folder_is_made(disk: Disk, as_lena: Client) -> None:
    answer = as_lena.post(disk.url("folder_new", "/srv"), {"name": "www"})
    assert answer["Location"] == disk.url("files", "/srv") + "&at=www"
    assert (disk.root / "srv/www").stat().st_mode & 0o777 == 0o755
    assert disk.history() == [("made folder", "/srv/www")]


@pytest.mark.parametrize("name", ["nginx", "hostname", "a/b", "..", ""])
def test_a_folder_takes_no_name_that_is_taken_or_none(
    name: str, disk: Disk, as_lena: Client
) -> None:
    answer = as_lena.post(disk.url("folder_new", "/etc"), {"name": name})
    assert answer.status_code == 422
    assert f'value="{name}"' in answer.content.decode() or not name
    assert disk.history() == []


@pytest.mark.parametrize(
    ("to", "path"), [("old.conf", "/etc/nginx/old.conf"), ("/srv/x.conf", "/srv/x.conf")]
)
def test_a_file_is_renamed_or_moved(to: str, path: str, disk: Disk, as_lena: Client) -> None:
    content = disk.read(CONF)
    answer = as_lena.post(disk.url("file_rename", CONF), {"to": to})
    folder, _, name = path.rpartition("/")
    assert answer["Location"] == disk.url("files", folder) + f"&at={name}"
    assert disk.read(path) == content
    assert not disk.has(CONF)
    assert disk.history() == [("renamed", f"{CONF} → {path}")]


@pytest.mark.parametrize("to", ["conf.d", "/etc/hostname", "/nowhere/x", "a/b", "..", "/", ""])
def test_nothing_is_renamed_onto_something_else(to: str, disk: Disk, as_lena: Client) -> None:
    content, hostname = disk.read(CONF), disk.read("/etc/hostname")
    answer = as_lena.post(disk.url("file_rename", CONF), {"to": to})
    assert answer.status_code == 422
    assert (disk.read(CONF), disk.read("/etc/hostname")) == (content, hostname)
    assert disk.history() == []


@pytest.mark.parametrize("to", ["a\u202eb", "/srv/a\u202eb", "/srv/a\u202eb/c"])
def test_nothing_gets_a_name_of_which_not_all_shows(to: str, disk: Disk, as_lena: Client) -> None:
    answer = as_lena.post(disk.url("file_rename", CONF), {"to": to})
    assert answer.status_code == 422
    assert "characters that do not show" in answer.content.decode()
    assert disk.history() == []


def test_a_name_that_stays_is_no_change(disk: Disk, as_lena: Client) -> None:
    assert as_lena.post(disk.url("file_rename", CONF), {"to": "nginx.conf"}).status_code == 302
    assert disk.history() == []


def test_a_deletion_says_what_is_lost_and_changes_nothing_yet(disk: Disk, as_lena: Client) -> None:
    (disk.root / "etc/web").symlink_to("nginx")
    for path, lost in (
        (CONF, "There is no way to bring it back"),
        ("/etc/nginx", "items"),
        ("/etc/web", "Only the link is deleted"),
    ):
        answer = as_lena.get(disk.url("file_delete", path))
        assert answer.status_code == 200
        assert lost in answer.content.decode()
        assert disk.has(path)


def test_a_folder_is_deleted_with_all_that_is_in_it(disk: Disk, as_lena: Client) -> None:
    answer = as_lena.post(disk.url("file_delete", "/etc/nginx"))
    assert answer["Location"].startswith(disk.url("files", "/etc"))
    assert not disk.has("/etc/nginx")
    assert disk.history() == [("deleted", "/etc/nginx")]


def test_of_a_link_only_the_link_is_deleted_or_renamed(disk: Disk, as_lena: Client) -> None:
    (disk.root / "etc/web").symlink_to("/etc/nginx")
    as_lena.post(disk.url("file_rename", "/etc/web"), {"to": "www"})
    assert (disk.root / "etc/www").is_symlink()
    as_lena.post(disk.url("file_delete", "/etc/www"))
    assert not (disk.root / "etc/www").is_symlink()
    assert disk.has(CONF)


@pytest.mark.parametrize("page", ["file_delete", "file_rename"])
def test_the_root_itself_stays(page: str, disk: Disk, as_lena: Client) -> None:
    assert as_lena.get(disk.url(page, "/")).status_code == 404
    as_lena.post(disk.url(page, "/"), {"to": "other"})
    assert disk.has(CONF)
    assert disk.history() == []


def test_what_is_gone_already_is_said_plainly(disk: Disk, as_lena: Client) -> None:
    answer = as_lena.post(disk.url("file_delete", "/srv/gone"))
    assert answer.status_code == 404
    assert "not there any more" in answer.content.decode()


def test_whoever_comes_just_after_a_stop_is_offered_to_open_the_files_again(
    disk: Disk, as_lena: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = Files.remove

    def stopped_first(files: Files, path: str) -> None:
        Container.objects.filter(pk=disk.container.pk).update(status=Status.STOPPED)
        remove(files, path)

    monkeypatch.setattr(Files, "remove", stopped_first)
    answer = as_lena.post(disk.url("file_delete", "/etc/hosts"))
    assert answer.status_code == 409
    assert 'id="open-files"' in answer.content.decode()
    assert disk.has("/etc/hosts")


@pytest.mark.parametrize("page", ["file_upload", "folder_new", "file_rename", "file_delete"])
def test_a_small_form_opens_in_the_dialog_or_on_its_own_page(
    page: str, disk: Disk, as_lena: Client
) -> None:
    url = disk.url(page, "/etc/nginx")
    fragment = as_lena.get(url, headers={"HX-Request": "true"}).content.decode()
    whole = as_lena.get(url).content.decode()
    assert "<html" not in fragment
    assert "<html" in whole
    for answer in (fragment, whole):
        assert 'method="post"' in answer
        assert "csrfmiddlewaretoken" in answer


@pytest.mark.parametrize("page", ["file_upload", "folder_new", "file_rename", "file_delete"])
def test_a_form_without_its_token_is_refused(page: str, disk: Disk) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(disk.container.customer)
    assert strict.post(disk.url(page, "/etc/nginx"), {"to": "x"}).status_code == 403
    assert disk.has(CONF)
