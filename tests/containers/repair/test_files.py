"""Files in repair: whose they are, when they are open, what is shown, what is written down."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from io import BytesIO

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from pytest_django import Settings

from containers import operations
from containers.connect import simulated
from containers.drivers import (
    BrokenOff,
    Conflict,
    DriverError,
    NoRoom,
    NoSuchInstance,
    Refused,
    Unreachable,
)
from containers.drivers.simulated import Faults, SimulatedDriver
from containers.models import Container, Node
from containers.repair import files
from containers.repair.files import Closed, Files, TooFast, Unanswered
from containers.statuses import TRANSIENT, Status
from panel.models import User
from tests.cast import ContainerFactory
from tests.conftest import JustThen
from tests.containers.repair.conftest import Disk

READS = ["files", "file_download", "file_edit", "file_new", "file_upload", "folder_new",
         "file_rename", "file_delete"]  # fmt: skip
CONF = "/etc/nginx/nginx.conf"

Send = Callable[[Client, Disk], object]


def _edit(client: Client, disk: Disk) -> object:
    sent = {"content": "mine", "version": version(disk, CONF)}
    return client.post(disk.url("file_edit", CONF), sent)


def _new(client: Client, disk: Disk) -> object:
    return client.post(disk.url("file_new", "/etc"), {"name": "new", "content": "mine"})


def _upload(client: Client, disk: Disk) -> object:
    sent = {"file": SimpleUploadedFile("nginx.conf", b"mine"), "replace": "on"}
    return client.post(disk.url("file_upload", "/etc/nginx"), sent)


def _new_folder(client: Client, disk: Disk) -> object:
    return client.post(disk.url("folder_new", "/etc"), {"name": "new"})


def _rename(client: Client, disk: Disk) -> object:
    return client.post(disk.url("file_rename", CONF), {"to": "old.conf"})


def _delete(client: Client, disk: Disk) -> object:
    return client.post(disk.url("file_delete", CONF))


WRITES = [_edit, _new, _upload, _new_folder, _rename, _delete]


def version(disk: Disk, path: str) -> str:
    assert disk.container.node is not None
    driver = simulated(disk.container.node)
    return driver.file_info(disk.container.instance_name, path).version


def everything(disk: Disk) -> dict[str, bytes]:
    """All files on the disk, and what is in them."""
    found = (path for path in disk.root.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path): path.read_bytes() for path in found} | {
        str(path): b"" for path in disk.root.rglob("*") if path.is_dir()
    }


@pytest.mark.parametrize("page", READS)
def test_files_are_their_owners_and_the_administrators(
    page: str, disk: Disk, as_lena: Client, as_ada: Client
) -> None:
    url = disk.url(page, CONF if page not in {"files", "file_new"} else "/etc")
    assert as_lena.get(url).status_code == 200
    assert as_ada.get(url).status_code == 200


@pytest.mark.parametrize("page", READS)
def test_files_of_a_foreign_container_are_not_found(page: str, disk: Disk, as_omar: Client) -> None:
    assert as_omar.get(disk.url(page, CONF)).status_code == 404


@pytest.mark.parametrize("page", READS)
def test_staff_look_into_no_file(page: str, disk: Disk, as_sten: Client) -> None:
    answer = as_sten.get(disk.url(page, CONF))
    assert answer.status_code == 403
    assert b"worker_processes" not in answer.content
    assert b"sites-available" not in answer.content


@pytest.mark.parametrize("page", READS)
def test_a_stranger_has_to_sign_in_first(page: str, disk: Disk, client: Client) -> None:
    answer = client.get(disk.url(page, CONF))
    assert answer.status_code == 302
    assert answer["Location"].startswith("/account/login/")


@pytest.mark.parametrize("write", WRITES)
def test_nobody_but_owner_and_administrators_changes_a_file(
    write: Send, disk: Disk, client: Client, as_omar: Client, as_sten: Client
) -> None:
    before = everything(disk)
    for somebody in (client, as_omar, as_sten):
        write(somebody, disk)
    assert everything(disk) == before
    assert disk.history() == []


@pytest.mark.parametrize("write", WRITES)
def test_owner_and_administrators_change_files(
    write: Send, disk: Disk, as_lena: Client, as_ada: Client
) -> None:
    before = everything(disk)
    write(as_lena, disk)
    assert everything(disk) != before
    assert len(disk.history()) == 1


@pytest.mark.parametrize("status", [s for s in Status if s != Status.REPAIRING])
def test_files_are_closed_in_every_other_status(
    status: Status, lena: User, node: Node, as_lena: Client
) -> None:
    container = ContainerFactory.create(customer=lena, status=status)
    disk = Disk(container)
    for page in READS:
        answer = as_lena.get(disk.url(page, CONF))
        assert answer.status_code == 409, page
        assert status.label in answer.content.decode()


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("status", [Status.STOPPED, Status.RUNNING, *sorted(TRANSIENT)])
def test_no_file_changes_in_another_status(
    status: Status, write: Send, disk: Disk, as_lena: Client
) -> None:
    before = everything(disk)
    Container.objects.filter(pk=disk.container.pk).update(status=status)
    write(as_lena, disk)
    assert everything(disk) == before
    assert disk.history() == []


def test_what_is_closed_says_how_it_is_opened(lena: User, node: Node, as_lena: Client) -> None:
    disk = Disk(ContainerFactory.create(customer=lena, node=node, status=Status.STOPPED))
    page = as_lena.get(disk.url("files", "/")).content.decode()
    assert 'id="open-files"' in page
    opened = as_lena.post(
        f"/containers/{disk.container.pk}/act/",
        {"action": "repair", "next": f"/containers/{disk.container.pk}/files/"},
        follow=True,
    )
    assert "etc/" in opened.content.decode()


def test_of_what_is_destroyed_the_files_are_gone_for_good(lena: User, as_lena: Client) -> None:
    disk = Disk(ContainerFactory.create(customer=lena, status=Status.DESTROYED))
    page = as_lena.get(disk.url("files", "/")).content.decode()
    assert "its files were deleted with it" in page
    assert "can be chosen while" not in page


def test_staff_who_may_not_open_files_are_led_on_to_the_container(
    disk: Disk, as_sten: Client, as_lena: Client
) -> None:
    place, files = disk.container.get_absolute_url(), disk.url("files", "/")
    refusal = as_sten.get(files)
    assert refusal.status_code == 403
    assert f'id="to-container" href="{place}"' in refusal.content.decode()
    for page in (refusal, as_sten.get(place)):
        assert f"{place}files/" not in page.content.decode()
    assert f'id="tab-files" href="{place}files/"' in as_lena.get(place).content.decode()


def test_a_write_that_comes_after_the_stop_changes_nothing(
    disk: Disk, lena: User, as_lena: Client
) -> None:
    """Files were open when the request began, and no more when it came to write."""
    files = Files(disk.container, lena)
    operations.request(disk.container.pk, "stop", by=lena)
    before = everything(disk)
    with pytest.raises(Closed):
        files.write(CONF, BytesIO(b"late"), did="edited", size=4)
    with pytest.raises(Closed):
        files.remove(CONF)
    with pytest.raises(Closed):
        files.make_folder("/late")
    assert everything(disk) == before
    assert disk.history() == []


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_the_node_works(
    disk: Disk, lena: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, int]] = []
    write_file = SimulatedDriver.write_file

    def watched(*args: object, **kwargs: object) -> object:
        seen.append((connection.in_atomic_block, disk.container.file_changes.count()))
        return write_file(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(SimulatedDriver, "write_file", watched)
    Files(disk.container, lena).write(CONF, BytesIO(b"x"), did="edited", size=1)
    assert seen == [(False, 1)]  # and the change is in the history before it is made


@pytest.mark.parametrize("error", [NoRoom, NoSuchInstance, Conflict])
def test_what_a_node_surely_did_not_do_is_not_in_the_history(
    error: type[DriverError], disk: Disk, as_lena: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail_with(monkeypatch, error)
    answer = as_lena.post(disk.url("file_edit", CONF), _edited(disk))
    assert answer.status_code == 422
    assert "typed by hand" in answer.content.decode()
    assert disk.history() == []


@pytest.mark.parametrize("error", [Unreachable, BrokenOff, Refused])
def test_what_a_node_may_have_done_stays_in_the_history(
    error: type[DriverError], disk: Disk, as_lena: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail_with(monkeypatch, error)
    answer = as_lena.post(disk.url("file_edit", CONF), _edited(disk))
    assert answer.status_code in {422, 503}
    assert "typed by hand" in answer.content.decode()
    assert disk.history() == [("edited", CONF)]


def test_a_folder_of_which_only_a_part_was_deleted_is_in_the_history(
    disk: Disk, as_lena: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise Refused("operation not permitted", "Only a part of this folder could be deleted.")

    monkeypatch.setattr(SimulatedDriver, "remove", fail)
    answer = as_lena.post(disk.url("file_delete", "/etc"))
    assert "Only a part of this folder could be deleted." in answer.content.decode()
    assert disk.history() == [("deleted", "/etc")]


def _edited(disk: Disk) -> dict[str, str]:
    return {"content": "typed by hand", "version": version(disk, CONF)}


def _fail_with(monkeypatch: pytest.MonkeyPatch, error: type[DriverError]) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error("because of the test")

    monkeypatch.setattr(SimulatedDriver, "write_file", fail)


@pytest.mark.parametrize("write", WRITES)
def test_a_node_that_does_not_answer_is_no_error_of_the_panel(
    write: Send, disk: Disk, node: Node, as_lena: Client
) -> None:
    sent = version(disk, CONF)
    assert sent
    as_lena.get(disk.url("files", "/"))
    simulated(node).set_faults(Faults(unplugged=True))
    for page in READS:
        if page not in {"file_new", "file_upload", "folder_new"}:
            answer = as_lena.get(disk.url(page, CONF))
            assert answer.status_code == 503, page
            assert "does not answer" in answer.content.decode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.containers.repair.test_files.version", lambda *args: sent)
        assert write(as_lena, disk).status_code == 503  # type: ignore[attr-defined]


def test_the_technical_reason_is_for_those_who_run_the_node(
    disk: Disk, node: Node, as_lena: Client, as_ada: Client
) -> None:
    simulated(node).set_faults(Faults(unplugged=True))
    assert "no route to host" not in as_lena.get(disk.url("files", "/")).content.decode()
    assert "no route to host" in as_ada.get(disk.url("files", "/")).content.decode()


def test_an_unanswered_change_is_not_called_done(disk: Disk, node: Node, lena: User) -> None:
    files = Files(disk.container, lena)
    simulated(node).set_faults(Faults(unplugged=True))
    with pytest.raises(Unanswered, match="no route"):
        files.remove(CONF)
    assert disk.history() == [("deleted", CONF)]


@pytest.mark.django_db(transaction=True)
def test_whoever_stops_it_just_then_finds_the_change_in_the_history_before_the_stop(
    disk: Disk, lena: User, ada: User, just_then: JustThen
) -> None:
    container = disk.container
    stop = partial(operations.request, container.pk, "stop", by=ada)
    stopped = just_then(files, "is_too_fast", stop)
    Files(container, lena).make_folder("/srv/new")
    stopped()
    assert container.file_changes.get().at < container.changes.get().at


@pytest.mark.django_db(transaction=True)
def test_of_two_changes_at_once_the_one_above_the_limit_waits_its_turn(
    disk: Disk, lena: User, settings: Settings, just_then: JustThen
) -> None:
    settings.ASKED_A_MINUTE = 1
    elsewhere = ContainerFactory.create(customer=lena, status=Status.REPAIRING)
    other = just_then(files, "is_too_fast", partial(Files(elsewhere, lena).make_folder, "/srv/new"))
    Files(disk.container, lena).make_folder("/srv/new")
    with pytest.raises(TooFast):
        other()
    assert not elsewhere.file_changes.exists()
