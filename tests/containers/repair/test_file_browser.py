"""Folders and downloads: what is shown, and that nothing leads out of the container."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.http.response import HttpResponseBase
from django.test import Client

from containers.repair.downloads import FOR_ONE
from containers.views.files import ENTRIES_PER_PAGE
from tests.containers.repair.conftest import Disk

NASTY = ['a "q" <b>&amp; ?#%.txt', "caf\udce9.txt", "a\u202eb\nc.txt", "ä ö.txt", "-rf", "…"]


def page_of(client: Client, disk: Disk, path: str) -> str:
    answer = client.get(disk.url("files", path))
    assert answer.status_code == 200
    return answer.content.decode()


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_folder_shows_what_is_in_it(disk: Disk, as_lena: Client) -> None:
    page = page_of(as_lena, disk, "/etc/nginx")
    for shown in ("conf.d/", "nginx.conf", "drwxr-xr-x", "-rw-r--r--", "0:0", "1 item", "bytes"):
        assert shown in page
    assert page.index("conf.d/") < page.index("nginx.conf")


def test_a_link_shows_where_it_points_and_leads_there(disk: Disk, as_lena: Client) -> None:
    (disk.root / "etc/web").symlink_to("/etc/nginx")
    (disk.root / "etc/conf").symlink_to("nginx/nginx.conf")
    assert "→ /etc/nginx" in page_of(as_lena, disk, "/etc")
    assert "nginx.conf" in page_of(as_lena, disk, "/etc/web")
    to_file = as_lena.get(disk.url("files", "/etc/conf"))
    assert to_file["Location"] == disk.url("file_edit", "/etc/conf")


def test_a_link_that_leads_nowhere_says_so_and_leads_back_to_its_folder(
    disk: Disk, as_lena: Client
) -> None:
    (disk.root / "etc/adrift").symlink_to("../proc/self/mounts")
    answer = as_lena.get(disk.url("files", "/etc/adrift"))
    page = answer.content.decode()
    assert answer.status_code == 404
    assert "a link leads to one that is not there" in page
    assert f'id="to-files" href="{disk.url("files", "/etc")}"' in page


def test_the_path_leads_back_up(disk: Disk, as_lena: Client) -> None:
    page = page_of(as_lena, disk, "/etc/nginx")
    assert f'href="{disk.url("files", "/")}"' in page
    assert f'href="{disk.url("files", "/etc")}"' in page


def test_a_large_folder_comes_in_pages(disk: Disk, as_lena: Client) -> None:
    (disk.root / "srv/many").mkdir()
    for number in range(ENTRIES_PER_PAGE + 1):
        (disk.root / f"srv/many/f{number:04}").touch()
    page = page_of(as_lena, disk, "/srv/many")
    assert "f0000" in page
    assert f"f{ENTRIES_PER_PAGE:04}" not in page
    url = disk.url("files", "/srv/many")
    assert f"f{ENTRIES_PER_PAGE:04}" in as_lena.get(f"{url}&page=2").content.decode()
    marked = as_lena.get(f"{url}&at=f{ENTRIES_PER_PAGE:04}").content.decode()
    assert f"f{ENTRIES_PER_PAGE:04}" in marked
    assert 'class="selected"' in marked


def test_a_folder_that_is_too_long_to_be_shown_says_so(
    disk: Disk, as_lena: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    (disk.root / "srv/many").mkdir()
    for number in range(101):
        (disk.root / f"srv/many/f{number:04}").touch()
    assert "of its entries are shown" not in page_of(as_lena, disk, "/srv/many")
    assert "100+ items" in page_of(as_lena, disk, "/srv")
    assert "100+ items" in as_lena.get(disk.url("file_delete", "/srv/many")).content.decode()
    for module in ("views.files", "drivers.simulated.rootfs"):
        monkeypatch.setattr(f"containers.{module}.MAX_LISTED", 7)
    assert "Only 7 of its entries are shown" in page_of(as_lena, disk, "/srv/many")
    for number in (0, 50, 100):
        assert as_lena.get(disk.url("file_rename", f"/srv/many/f{number:04}")).status_code == 200


@pytest.mark.parametrize("name", NASTY)
def test_an_odd_name_can_be_opened_downloaded_renamed_and_deleted(
    name: str, disk: Disk, as_lena: Client
) -> None:
    (disk.root / "srv" / name).write_bytes(b"odd")
    path = f"/srv/{name}"
    listed = page_of(as_lena, disk, "/srv")
    assert disk.url("file_edit", path).replace("&", "&amp;") in listed
    assert "odd" in as_lena.get(disk.url("file_edit", path)).content.decode()
    download = as_lena.get(disk.url("file_download", path))
    assert b"".join(download.streaming_content) == b"odd"  # type: ignore[attr-defined]
    assert "\n" not in download["Content-Disposition"]
    as_lena.post(disk.url("file_rename", path), {"to": "plain.txt"})
    assert names_in(disk.root / "srv") == ["plain.txt"]
    (disk.root / "srv/plain.txt").rename(disk.root / "srv" / name)
    as_lena.post(disk.url("file_delete", path))
    assert names_in(disk.root / "srv") == []
    assert [did for did, _ in disk.history()] == ["renamed", "deleted"]


def test_a_download_is_a_file_and_never_a_page(disk: Disk, as_lena: Client) -> None:
    disk.write("/srv/evil.html", b"<script>alert(1)</script>")
    answer = as_lena.get(disk.url("file_download", "/srv/evil.html"))
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"] == 'attachment; filename="evil.html"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Length"] == "25"
    assert "no-store" in answer["Cache-Control"]
    assert b"".join(answer.streaming_content) == b"<script>alert(1)</script>"  # type: ignore[attr-defined]


def test_a_large_download_is_whole(disk: Disk, as_lena: Client) -> None:
    content = os.urandom(1024) * 1024
    disk.write("/srv/large", content)
    answer = as_lena.get(disk.url("file_download", "/srv/large"))
    assert answer.streaming
    assert b"".join(answer.streaming_content) == content  # type: ignore[attr-defined]


def break_off(answer: HttpResponseBase) -> None:
    """What Django does once the browser is gone, but for closing the database of the test."""
    for close in answer._resource_closers:  # type: ignore[attr-defined]
        close()


def test_one_person_has_few_downloads_open_at_once(
    disk: Disk, as_lena: Client, as_ada: Client
) -> None:
    disk.write("/srv/large", b"x" * 2**20)
    large, missing = disk.url("file_download", "/srv/large"), disk.url("file_download", "/nowhere")
    under_way = [as_lena.get(large) for _ in range(FOR_ONE)]
    refused = as_lena.get(large)
    assert refused.status_code == 429
    assert "Wait until one has arrived" in refused.content.decode()
    assert as_ada.get(large).status_code == 200
    # One is broken off before it began, the other when it has arrived in part.
    next(under_way[0].streaming_content)  # type: ignore[attr-defined]
    for answer in under_way:
        break_off(answer)
    for _ in range(3 * FOR_ONE):
        assert as_lena.get(missing).status_code == 404
        whole = as_lena.get(large)
        assert len(b"".join(whole.streaming_content)) == 2**20  # type: ignore[attr-defined]


def test_downloads_leave_threads_for_pages(
    disk: Disk, as_lena: Client, as_ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("containers.repair.downloads.IN_ALL", 1)
    large = disk.url("file_download", "/etc/hostname")
    under_way = as_lena.get(large)
    refused = as_ada.get(large)
    assert refused.status_code == 429
    assert "Try again in a moment" in refused.content.decode()
    break_off(under_way)
    assert as_ada.get(large).status_code == 200


@pytest.mark.parametrize("page", ["files", "file_download", "file_edit", "file_delete"])
@pytest.mark.parametrize(
    "path", ["/nowhere", "/etc/hostname/x", "/etc/\0", "/" + "a" * 5000, "/loop/loop"]
)
def test_what_is_not_there_is_not_found(page: str, path: str, disk: Disk, as_lena: Client) -> None:
    (disk.root / "loop").symlink_to("/loop")
    assert as_lena.get(disk.url(page, path)).status_code == 404


def test_nothing_leads_out_of_the_container(disk: Disk, as_lena: Client) -> None:
    outside = disk.root.parent / "secret"
    outside.write_text("top secret")
    (disk.root / "srv/up").symlink_to("../../secret")
    (disk.root / "srv/host").symlink_to(outside)
    (disk.root / "srv/above").symlink_to(disk.root.parent)
    for path in (
        "/../secret", "/etc/../../secret", "/srv/up", "/srv/host", "/srv/above/secret",
        str(outside), "/%2e%2e/secret",
    ):  # fmt: skip
        for page in ("files", "file_edit", "file_download"):
            assert as_lena.get(disk.url(page, path)).status_code == 404, (page, path)
        as_lena.post(disk.url("file_edit", path), {"content": "taken", "version": ""})
        as_lena.post(disk.url("file_delete", path))
    as_lena.post(disk.url("file_rename", "/etc/hostname"), {"to": "/../../secret"})
    as_lena.post(disk.url("file_new", "/srv"), {"name": "../../secret", "content": "taken"})
    assert outside.read_text() == "top secret"
