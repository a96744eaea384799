"""The editor: what is saved is what was meant, and nobody's work is overwritten unseen."""

from __future__ import annotations

from html import unescape
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from django.http import HttpResponse
from django.test import Client

from containers import operations
from containers.connect import simulated
from containers.drivers import FileInfo
from containers.drivers.simulated import Faults, SimulatedDriver
from containers.models import Container
from containers.statuses import Status
from panel.models import User
from tests.containers.repair.conftest import Disk

if TYPE_CHECKING:
    from pytest_django import Settings

CONF = "/etc/nginx/nginx.conf"
MARK = b"\xef\xbb\xbf"


class Editor(HTMLParser):
    """The fields of the editor's form, as a browser reads them out of a page and sends them."""

    def __init__(self, answer: HttpResponse) -> None:
        super().__init__(convert_charrefs=False)
        self.fields: dict[str, str] = {}
        self._text: list[str] | None = None
        self.feed(answer.content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "textarea":
            self._text = []
        elif tag == "input" and found.get("name") == "version":
            self.fields["version"] = found.get("value") or ""

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)

    def handle_entityref(self, name: str) -> None:
        self.handle_data(unescape(f"&{name};"))

    def handle_charref(self, name: str) -> None:
        self.handle_data(unescape(f"&#{name};"))

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self._text is not None:
            # Browsers drop one line feed at the very beginning, and send CR LF for each end.
            text = "".join(self._text).replace("\r\n", "\n").replace("\r", "\n")
            self.fields["content"] = text.removeprefix("\n").replace("\n", "\r\n")
            self._text = None


def opened(client: Client, disk: Disk, path: str = CONF) -> dict[str, str]:
    answer = client.get(disk.url("file_edit", path))
    assert answer.status_code == 200
    return Editor(answer).fields  # type: ignore[arg-type]


def save(client: Client, disk: Disk, fields: dict[str, str], path: str = CONF) -> HttpResponse:
    answer = client.post(disk.url("file_edit", path), fields)
    assert isinstance(answer, HttpResponse)
    return answer


def test_a_file_is_edited_and_that_is_in_the_history(disk: Disk, as_lena: Client) -> None:
    fields = opened(as_lena, disk)
    fields["content"] = fields["content"].replace("768", "1024")
    answer = save(as_lena, disk, fields)
    assert answer["Location"] == disk.url("files", "/etc/nginx") + "&at=nginx.conf"
    assert b"worker_connections 1024;" in disk.read(CONF)
    assert disk.history() == [("edited", CONF)]
    change = disk.container.file_changes.get()
    assert (change.by.username, change.size) == ("lena", len(disk.read(CONF)))
    history = as_lena.get(f"/containers/{disk.container.pk}/activity/").content.decode()
    assert CONF in history


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\n\nleading",
        b"no end",
        b"one\n",
        b"dos\r\nfile\r\n",
        b"mac\rfile\r",
        b"mixed\r\nends\nhere\r",
        MARK + b"marked\r\n",
        "ä € \U0001f600 \ufeff \u2028 \x1b[0m\f &lt; </textarea>\n".encode(),
        b"\t tabs and trailing blanks  \n\n\n",
    ],
)
def test_what_is_around_an_edit_is_kept_byte_for_byte(
    content: bytes, disk: Disk, as_lena: Client
) -> None:
    disk.write("/srv/file", content)
    fields = opened(as_lena, disk, "/srv/file")
    save(as_lena, disk, fields, "/srv/file")
    assert disk.read("/srv/file") == content
    assert disk.history() == []

    fields["content"] += "more"
    save(as_lena, disk, fields, "/srv/file")
    assert disk.read("/srv/file") == content + b"more"


def test_mode_and_owner_survive_an_edit(disk: Disk, as_lena: Client) -> None:
    (disk.root / "etc/nginx/nginx.conf").chmod(0o640)
    fields = opened(as_lena, disk)
    save(as_lena, disk, fields | {"content": "new"})
    assert disk.read(CONF) == b"new"
    assert (disk.root / "etc/nginx/nginx.conf").stat().st_mode & 0o777 == 0o640


def test_a_file_that_changed_meanwhile_is_not_overwritten(disk: Disk, as_lena: Client) -> None:
    fields = opened(as_lena, disk)
    disk.write(CONF, b"theirs <first>\n")
    answer = save(as_lena, disk, fields | {"content": "mine & only\r\n"})
    assert answer.status_code == 409
    assert disk.read(CONF) == b"theirs <first>\n"
    assert disk.history() == []
    page = answer.content.decode()
    assert "theirs &lt;first&gt;" in page
    assert "Overwrite with my text" in page
    assert Editor(answer).fields["content"] == "mine & only\r\n"


def test_a_conflict_is_overwritten_only_when_that_is_said(disk: Disk, as_lena: Client) -> None:
    fields = opened(as_lena, disk)
    disk.write(CONF, b"theirs\n")
    again = Editor(save(as_lena, disk, fields | {"content": "mine\r\n"})).fields
    assert save(as_lena, disk, again).status_code == 302
    assert disk.read(CONF) == b"mine\n"
    assert disk.history() == [("edited", CONF)]


def test_who_has_changed_a_file_in_another_tab_is_not_told_that_somebody_else_has(
    disk: Disk, as_lena: Client
) -> None:
    fields = opened(as_lena, disk)
    save(as_lena, disk, fields | {"content": "first"})
    page = save(as_lena, disk, fields | {"content": "second"}).content.decode()
    assert "This file was changed after you opened it." in page
    assert "omebody else" not in page


def test_a_third_hand_is_not_overwritten_with_the_second(disk: Disk, as_lena: Client) -> None:
    fields = opened(as_lena, disk)
    disk.write(CONF, b"second\n")
    again = Editor(save(as_lena, disk, fields | {"content": "mine"})).fields
    disk.write(CONF, b"third\n")
    answer = save(as_lena, disk, again)
    assert answer.status_code == 409
    assert "third" in answer.content.decode()
    assert disk.read(CONF) == b"third\n"


def test_a_change_in_the_moment_of_saving_is_not_overwritten(disk: Disk, as_lena: Client) -> None:
    write_file = SimulatedDriver.write_file

    def outrun(*args: Any, **kwargs: Any) -> FileInfo:
        patch.undo()
        disk.write(CONF, b"a blink earlier\n")
        return write_file(*args, **kwargs)

    fields = opened(as_lena, disk)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SimulatedDriver, "write_file", outrun)
        answer = save(as_lena, disk, fields | {"content": "mine"})
    assert answer.status_code == 409
    assert "a blink earlier" in answer.content.decode()
    assert disk.read(CONF) == b"a blink earlier\n"
    assert disk.history() == []


def test_two_people_who_wrote_the_same_have_no_conflict(disk: Disk, as_lena: Client) -> None:
    fields = opened(as_lena, disk)
    disk.write(CONF, b"the same\n")
    assert save(as_lena, disk, fields | {"content": "the same\r\n"}).status_code == 302
    assert disk.history() == []


def test_a_file_deleted_meanwhile_can_be_saved_again(disk: Disk, as_lena: Client) -> None:
    fields = opened(as_lena, disk)
    (disk.root / CONF[1:]).unlink()
    answer = save(as_lena, disk, fields | {"content": "mine"})
    assert answer.status_code == 409
    assert "was deleted" in answer.content.decode()
    assert save(as_lena, disk, Editor(answer).fields).status_code == 302
    assert disk.read(CONF) == b"mine"
    assert disk.history() == [("created", CONF)]


def test_a_conflict_with_what_is_no_text_keeps_the_text(disk: Disk, as_lena: Client) -> None:
    fields = opened(as_lena, disk)
    disk.write(CONF, b"\0\1\2")
    answer = save(as_lena, disk, fields | {"content": "mine"})
    assert answer.status_code == 409
    assert Editor(answer).fields["content"] == "mine"
    assert disk.read(CONF) == b"\0\1\2"


def test_a_text_typed_while_somebody_stops_the_container_is_not_lost(
    disk: Disk, lena: User, as_lena: Client
) -> None:
    fields = opened(as_lena, disk)
    before = disk.read(CONF)
    operations.request(disk.container.pk, "stop", by=lena)
    answer = save(as_lena, disk, fields | {"content": "an hour of work"})
    assert answer.status_code == 409
    assert Editor(answer).fields["content"] == "an hour of work"
    assert "Stopping" in answer.content.decode()
    assert disk.read(CONF) == before
    Container.objects.filter(pk=disk.container.pk).update(status=Status.REPAIRING)
    assert save(as_lena, disk, Editor(answer).fields).status_code == 302
    assert disk.read(CONF) == b"an hour of work"


@pytest.mark.parametrize("content", [b"\x89PNG\0\0", b"caf\xe9", b"\xff\xfea\0"])
def test_what_is_no_text_is_not_opened_but_downloaded_or_replaced(
    content: bytes, disk: Disk, as_lena: Client
) -> None:
    disk.write("/srv/logo.png", content)
    page = as_lena.get(disk.url("file_edit", "/srv/logo.png")).content.decode()
    assert "<textarea" not in page
    assert disk.url("file_download", "/srv/logo.png") in page
    assert disk.url("file_upload", "/srv") + "&amp;name=logo.png" in page


def test_what_is_too_large_is_not_opened(disk: Disk, as_lena: Client, settings: Settings) -> None:
    settings.EDIT_LIMIT = 1000
    disk.write("/srv/log", b"x" * 1000)
    assert opened(as_lena, disk, "/srv/log")["content"] == "x" * 1000
    disk.write("/srv/log", b"x" * 1001)
    page = as_lena.get(disk.url("file_edit", "/srv/log")).content.decode()
    assert "Too large" in page
    assert "<textarea" not in page


@pytest.mark.parametrize("page", ["file_edit", "file_new"])
@pytest.mark.parametrize("content", ["y" * 1001, "ä" * 501])
def test_a_text_too_large_to_save_is_kept_in_the_editor(
    page: str, content: str, disk: Disk, as_lena: Client, settings: Settings
) -> None:
    settings.EDIT_LIMIT = 1000
    sent = {"content": content, "version": "", "name": "new"}
    answer = as_lena.post(disk.url(page, "/etc/hostname" if page == "file_edit" else "/etc"), sent)
    assert answer.status_code == 422
    assert content in answer.content.decode()
    assert disk.history() == []


def test_what_could_be_opened_can_be_saved_though_a_browser_sends_more(
    disk: Disk, as_lena: Client, settings: Settings
) -> None:
    """Two characters at the end of each line."""
    settings.EDIT_LIMIT = 1000
    disk.write("/srv/log", b"\n" * 1000)
    fields = opened(as_lena, disk, "/srv/log")
    save(as_lena, disk, fields | {"content": "x" + "\r\n" * 999}, "/srv/log")
    assert disk.read("/srv/log") == b"x" + b"\n" * 999


def test_a_folder_in_the_editor_is_shown_as_a_folder(disk: Disk, as_lena: Client) -> None:
    answer = as_lena.get(disk.url("file_edit", "/etc/nginx"))
    assert answer["Location"] == disk.url("files", "/etc/nginx")


def test_a_new_file_is_created(disk: Disk, as_lena: Client) -> None:
    sent = {"name": "new.conf", "content": "a\r\nb\r\n"}
    answer = as_lena.post(disk.url("file_new", "/etc/nginx"), sent)
    assert answer["Location"] == disk.url("files", "/etc/nginx") + "&at=new.conf"
    assert disk.read("/etc/nginx/new.conf") == b"a\nb\n"
    assert (disk.root / "etc/nginx/new.conf").stat().st_mode & 0o777 == 0o644
    assert disk.history() == [("created", "/etc/nginx/new.conf")]


@pytest.mark.parametrize("name", ["nginx.conf", "conf.d", "", "a/b", "..", "x" * 256])
def test_a_new_file_takes_no_name_that_is_taken_or_none(
    name: str, disk: Disk, as_lena: Client
) -> None:
    before = disk.read(CONF)
    sent = {"name": name, "content": "typed by hand"}
    answer = as_lena.post(disk.url("file_new", "/etc/nginx"), sent)
    assert answer.status_code in {409, 422}
    assert Editor(answer).fields["content"] == "typed by hand"  # type: ignore[arg-type]
    assert disk.read(CONF) == before
    assert disk.history() == []


def test_a_full_node_is_said_next_to_the_text(disk: Disk, as_lena: Client) -> None:
    assert disk.container.node is not None
    fields = opened(as_lena, disk)
    simulated(disk.container.node).set_faults(Faults(full=True))
    answer = save(as_lena, disk, fields | {"content": "mine"})
    assert answer.status_code == 422
    assert "no room left" in answer.content.decode()
    assert Editor(answer).fields["content"] == "mine"
