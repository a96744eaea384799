"""What the Incus driver promises beyond the contract: trust, breakdowns, what is not ours."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from io import BytesIO
from itertools import count, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from containers.drivers import (
    BadPath,
    BrokenOff,
    Conflict,
    DriverError,
    NoRoom,
    NoSuchInstance,
    Power,
    Progress,
    Refused,
    Spec,
    Unreachable,
)
from containers.drivers.incus import Client, IncusDriver, Server, files, moving
from containers.drivers.incus.about import describe
from containers.drivers.incus.errors import NotTrusted
from containers.drivers.incus.instances import IncusInstance
from containers.drivers.incus.news import Event, events
from containers.drivers.incus.operations import Doing, under_way
from containers.drivers.incus.sftp import Sftp
from containers.drivers.incus.trust import BadToken, join, make_identity, read_token, renew
from tests.incus_node import IMAGE, PROJECT, IncusNode, wait_until

from .conftest import PATIENCE, eventually, finish, refusal, walk_away

pytestmark = pytest.mark.incus

_numbers = count(1)


def spec(name: str, **other: object) -> Spec:
    made = Spec(name, "web.example.org", IMAGE, 1, 128, 1, "ssh-ed25519 AAAAC3 lena")
    return replace(made, **other)  # type: ignore[arg-type]


@pytest.fixture
def node(servers: list[IncusNode]) -> Iterator[IncusNode]:
    """A server that may be killed or hung up: it is put right afterwards."""
    yield servers[0]
    put_right(servers[0])


def put_right(node: IncusNode) -> None:
    """What a test may have done to it is over."""
    node.resume()
    if not node.is_up:
        node.start()


@pytest.fixture
def driver(incus_drivers: list[IncusDriver]) -> IncusDriver:
    return incus_drivers[0]


@pytest.fixture
def other(incus_drivers: list[IncusDriver]) -> IncusDriver:
    return incus_drivers[1]


@pytest.fixture
def name(node: IncusNode, incus_drivers: list[IncusDriver]) -> Iterator[str]:
    fresh = f"ct-{os.getpid()}-x{next(_numbers)}"
    yield fresh
    put_right(node)
    for driver in incus_drivers:
        with suppress(NoSuchInstance):
            finish(driver.stop(fresh, force=True))
        finish(driver.delete(fresh))


def put_half_made(node: IncusNode, name: str) -> None:
    """As a daemon leaves it that is killed while it unpacks."""
    marks = ["-c=user.berth.id=1", "-c=user.berth.state=new"]
    node.incus("init", "--empty", name, f"--project={PROJECT}", *marks)
    node.incus("config", "unset", name, "volatile.apply_template", f"--project={PROJECT}")


@pytest.fixture
def running(driver: IncusDriver, name: str) -> str:
    finish(driver.create(spec(name)))
    finish(driver.start(name))
    return name


def power(driver: IncusDriver, name: str) -> Power | None:
    found = driver.instance(name)
    return found.power if found else None


def questions(driver: IncusDriver, name: str) -> list[Callable[[], object]]:
    return [
        driver.resources,
        driver.images,
        driver.instances,
        driver.usage,
        lambda: driver.instance(name),
        lambda: finish(driver.create(spec(name))),
        lambda: finish(driver.start(name)),
        lambda: finish(driver.stop(name)),
        lambda: finish(driver.delete(name)),
        lambda: driver.list_folder(name, "/"),
    ]


def test_a_server_that_shows_another_certificate_is_not_spoken_to(
    driver: IncusDriver, other: IncusDriver
) -> None:
    impostor = IncusDriver(replace(driver.server, certificate=other.server.certificate))
    for question in questions(impostor, "ct-1"):
        with pytest.raises(Unreachable, match="not the one that was pinned"):
            question()


def test_a_server_that_does_not_know_the_panel_says_so(driver: IncusDriver, tmp_path: Path) -> None:
    stranger = IncusDriver(replace(driver.server, identity=make_identity(tmp_path / "new.pem")))
    for question in questions(stranger, "ct-1"):
        with pytest.raises(NotTrusted, match="does not accept the panel's certificate"):
            question()
    assert "does not let the panel in" in describe(stranger.client).obstacles[0]


def test_a_certificate_that_cannot_be_read_is_named(driver: IncusDriver, tmp_path: Path) -> None:
    for broken in ({"identity": tmp_path / "none.pem"}, {"certificate": "garbage"}):
        with pytest.raises(NotTrusted, match="cannot be read"):
            IncusDriver(replace(driver.server, **broken)).instances()


def test_containers_of_a_killed_daemon_run_on_and_are_seen_again(
    node: IncusNode, driver: IncusDriver, running: str
) -> None:
    pid = node.query(f"/1.0/instances/{running}/state?project={PROJECT}")["pid"]
    node.kill()
    start = time.monotonic()
    for question in questions(driver, running):
        with pytest.raises(Unreachable):
            question()
    assert time.monotonic() - start < 2
    assert Path(f"/proc/{pid}").exists()
    node.start()
    assert driver.instances()[running].power is Power.RUNNING
    assert Path(f"/proc/{pid}").exists()


def test_a_daemon_that_hangs_keeps_one_waiting_no_longer_than_the_time_out(
    node: IncusNode, driver: IncusDriver, running: str
) -> None:
    impatient = IncusDriver(replace(driver.server, timeout=2))
    assert impatient.instances()
    fresh = IncusDriver(replace(driver.server, timeout=2))
    local = IncusDriver(Server(node.socket, timeout=2))
    node.pause()
    for question in (
        impatient.instances,
        lambda: finish(fresh.stop(running)),
        lambda: local.list_folder(running, "/"),
    ):
        start = time.monotonic()
        with pytest.raises(Unreachable):
            question()
        assert time.monotonic() - start < 2.5
    node.resume()
    assert impatient.instances()[running].power is Power.RUNNING


def test_work_that_is_followed_notices_that_the_daemon_is_gone(
    node: IncusNode, driver: IncusDriver, running: str
) -> None:
    work = driver.stop(running)
    next(work)
    node.kill()
    assert isinstance(refusal(work), Unreachable)
    node.start()
    finish(driver.stop(running, force=True))
    assert power(driver, running) is Power.STOPPED


def test_an_operation_under_way_is_joined_and_not_begun_again(
    driver: IncusDriver, running: str
) -> None:
    walk_away(driver.stop(running))
    again = IncusDriver(driver.server)
    work = again.stop(running)
    next(work)
    stopping = [each for each in under_way(again.client, running) if each.doing == Doing.STOP]
    assert len(stopping) == 1
    finish(work)
    assert power(driver, running) is Power.STOPPED


def test_a_system_that_does_not_hear_the_first_request_to_stop_is_asked_again(
    driver: IncusDriver, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("containers.drivers.incus.driver.HEARING", 2)
    finish(driver.create(spec(name)))
    slow = b"#!/bin/busybox sh\n/bin/busybox sleep 3\nexec /bin/busybox init\n"
    driver.remove(name, "/sbin/init")
    driver.write_file(name, "/sbin/init", BytesIO(slow))
    with files.session(driver.client, name) as sftp:
        sftp.give("/sbin/init", uid=0, gid=0, mode=0o755)
    finish(driver.start(name))
    finish(driver.stop(name))
    seen = driver.instance(name)
    assert seen is not None
    assert seen.power is Power.STOPPED


def test_a_stubborn_system_stops_by_force_only(
    node: IncusNode, driver: IncusDriver, name: str
) -> None:
    finish(driver.create(spec(name)))
    driver.remove(name, "/sbin/init")
    deaf = b"#!/bin/sh\ntrap '' PWR USR1 USR2 TERM INT HUP\nwhile :; do sleep 1; done\n"
    driver.write_file(name, "/sbin/init", BytesIO(deaf))
    with files.session(driver.client, name) as sftp:
        sftp.give("/sbin/init", uid=0, gid=0, mode=0o755)
    finish(driver.start(name))
    gentle = driver.stop(name)
    assert [next(gentle).percent for _ in range(3)] == [None] * 3
    assert power(driver, name) is Power.RUNNING
    finish(driver.stop(name, force=True))
    finish(gentle)
    assert power(driver, name) is Power.STOPPED


def test_what_is_paused_goes_on_when_it_is_started_or_asked_to_stop(
    node: IncusNode, driver: IncusDriver, running: str
) -> None:
    state = f"/1.0/instances/{running}/state"
    wait_until(lambda: driver.client.get(state)["processes"] > 1)
    node.incus("pause", running, f"--project={PROJECT}")
    finish(driver.start(running))
    assert driver.client.get(f"/1.0/instances/{running}")["status"] == "Running"
    node.incus("pause", running, f"--project={PROJECT}")
    finish(driver.stop(running))
    assert power(driver, running) is Power.STOPPED


def test_what_a_killed_daemon_left_half_made_is_made_anew(
    node: IncusNode, driver: IncusDriver, name: str
) -> None:
    work = driver.create(spec(name))
    next(work)
    node.kill()
    assert isinstance(refusal(work), Unreachable)
    node.start()
    finish(driver.create(spec(name)))
    assert power(driver, name) is Power.STOPPED
    assert driver.file_info(name, "/etc/passwd").size


def test_what_is_half_made_is_not_shown_and_is_replaced(
    node: IncusNode, driver: IncusDriver, name: str
) -> None:
    put_half_made(node, name)
    assert node.has(name)
    assert driver.instance(name) is None
    assert name not in driver.instances()
    assert name in driver.unfinished()
    assert isinstance(refusal(driver.start(name)), NoSuchInstance)
    finish(driver.create(spec(name)))
    assert name not in driver.unfinished()
    assert driver.file_info(name, "/etc/passwd").size


def test_what_is_renamed_still_tells_what_it_was_made_for(
    node: IncusNode, driver: IncusDriver, name: str
) -> None:
    # No key is written: Incus keeps a file server for that, and waits for its end to delete.
    finish(driver.create(spec(f"{name}-made", ssh_key="", labels={"number": "7"})))
    node.incus("rename", f"{name}-made", name, f"--project={PROJECT}")
    found = driver.instance(name)
    assert found is not None
    assert found.is_another({"number": "8"})


def test_what_was_half_made_can_be_deleted(node: IncusNode, driver: IncusDriver, name: str) -> None:
    put_half_made(node, name)
    finish(driver.delete(name))
    assert not node.has(name)
    assert name not in driver.unfinished()


def test_limits_labels_and_key_are_what_was_ordered(
    node: IncusNode, driver: IncusDriver, name: str
) -> None:
    ordered = spec(name, cpus=2, memory_mb=256, disk_gb=3, labels={"order": "7"})
    finish(driver.create(ordered))
    made = node.query(f"/1.0/instances/{name}?project={PROJECT}")
    assert made["config"]["limits.cpu"] == "2"
    assert made["config"]["limits.memory"] == "256MiB"
    assert made["config"]["user.berth.label.order"] == "7"
    assert made["devices"]["root"]["size"] == "3GiB"
    assert "cloud-init.user-data" not in made["config"]
    assert driver.describe(name) == ordered
    key = "/root/.ssh/authorized_keys"
    assert b"".join(driver.read_file(name, key)) == b"ssh-ed25519 AAAAC3 lena\n"
    assert driver.file_info(name, key).mode == 0o600
    assert driver.file_info(name, "/root/.ssh").mode == 0o700


def test_a_system_with_cloud_init_gets_name_and_key_by_it(
    node: IncusNode, driver: IncusDriver, name: str
) -> None:
    [image] = node.query(f"/1.0/images?recursion=1&project={PROJECT}")
    fingerprint = image["fingerprint"]
    node.incus("image", "set-property", fingerprint, "variant", "cloud", f"--project={PROJECT}")
    try:
        finish(driver.create(spec(name)))
    finally:
        node.incus("image", "unset-property", fingerprint, "variant", f"--project={PROJECT}")
    config = node.query(f"/1.0/instances/{name}?project={PROJECT}")["config"]
    assert config["cloud-init.user-data"].startswith("#cloud-config\n")
    assert '"hostname": "web.example.org"' in config["cloud-init.user-data"]
    assert "ssh-ed25519 AAAAC3 lena" in config["cloud-init.user-data"]
    assert not driver.list_folder(name, "/root")


def test_whoever_starts_it_first_finds_the_key_in_place(
    node: IncusNode, driver: IncusDriver, name: str
) -> None:
    walk_away(driver.create(spec(name)))
    eventually(lambda: driver.instance(name), Power.STOPPED)
    finish(driver.start(name))
    finish(driver.stop(name, force=True))
    assert driver.file_info(name, "/root/.ssh/authorized_keys").size


def test_what_is_in_another_project_is_neither_seen_nor_touched(
    node: IncusNode, driver: IncusDriver, name: str
) -> None:
    node.incus("init", "--empty", name, "--project=default", "--storage=default")
    try:
        assert driver.instance(name) is None
        assert name not in driver.instances()
        finish(driver.delete(name))
        finish(driver.create(spec(name)))
        finish(driver.delete(name))
        assert node.has(name, "default")
        assert not node.has(name)
    finally:
        node.incus("delete", name, "--project=default")


def test_the_panel_is_let_into_its_project_only(driver: IncusDriver) -> None:
    elsewhere = IncusDriver(replace(driver.server, project="default"))
    with pytest.raises(Refused):
        elsewhere.instances()
    with pytest.raises(Refused):
        finish(elsewhere.create(spec("ct-1")))
    assert "default" in describe(elsewhere.client).obstacles[0]


def test_a_move_never_replaces_another_container_of_the_same_name(
    driver: IncusDriver, other: IncusDriver, name: str
) -> None:
    for each in (driver, other):
        finish(each.create(spec(name)))
    other.write_file(name, "/root/theirs", BytesIO())
    assert isinstance(refusal(driver.move(name, other)), Refused)
    assert power(driver, name) is Power.STOPPED
    assert other.file_info(name, "/root/theirs")


def test_a_move_given_up_when_both_are_whole_leaves_a_copy_that_can_be_removed(
    driver: IncusDriver, other: IncusDriver, name: str
) -> None:
    finish(driver.create(spec(name)))
    for progress in driver.move(name, other):
        if progress.step == "Deleting the original":
            break  # the last moment at which whoever is too late can be told
    assert driver.instance(name)
    assert other.instance(name)
    finish(driver.start(name))
    finish(driver.stop(name, force=True))
    refused = refusal(driver.move(name, other))
    assert isinstance(refused, Refused)
    assert "old copy" in refused.sentence
    finish(other.delete(name))
    finish(driver.move(name, other))
    assert driver.look(name) is None
    assert power(other, name) is Power.STOPPED


def test_a_move_given_up_while_it_copies_leaves_nothing_there(
    driver: IncusDriver, other: IncusDriver, name: str
) -> None:
    finish(driver.create(spec(name)))
    for progress in driver.move(name, other):
        if progress.step == "Copying":
            break
    finish(driver.give_up_move(name, other))
    assert other.look(name) is None
    assert power(driver, name) is Power.STOPPED
    finish(driver.move(name, other))
    assert driver.look(name) is None
    assert power(other, name) is Power.STOPPED


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


def test_what_is_claimed_outlives_its_stop(node: IncusNode, driver: IncusDriver, name: str) -> None:
    node.make_by_hand(name, "--ephemeral")
    driver.claim(name, {})
    finish(driver.start(name))
    finish(driver.stop(name, force=True))
    assert power(driver, name) is Power.STOPPED


def test_what_somebody_is_only_making_by_hand_is_not_listed(
    node: IncusNode, driver: IncusDriver, name: str
) -> None:
    node.make_by_hand(name)
    node.incus("config", "unset", name, "volatile.apply_template", f"--project={PROJECT}")
    assert name not in driver.instances()
    with pytest.raises(NoSuchInstance):
        driver.claim(name, {})
    node.incus("delete", name, f"--project={PROJECT}")


def test_a_copy_that_nobody_has_verified_is_not_listed(
    driver: IncusDriver, other: IncusDriver, name: str
) -> None:
    finish(driver.create(spec(name)))
    for progress in driver.move(name, other):
        if progress.step == "Verifying the copy":
            break
    found = other.look(name)
    assert found is not None
    assert found.is_unpacked
    assert name not in other.instances()
    with pytest.raises(NoSuchInstance):
        other.claim(name, {})
    finish(driver.move(name, other))


def test_limits_that_a_profile_sets_are_told(
    node: IncusNode, driver: IncusDriver, name: str
) -> None:
    node.incus("profile", "create", "small", f"--project={PROJECT}")
    node.incus(
        "profile", "set", "small", "limits.cpu=2", "limits.memory=256MiB", f"--project={PROJECT}"
    )
    node.incus(
        "init", IMAGE, name, "-p=default", "-p=small", "-d=root,size=3GiB", f"--project={PROJECT}"
    )
    told = driver.describe(name)
    assert (told.cpus, told.memory_mb, told.disk_gb, told.image) == (2, 256, 3, IMAGE)
    node.incus("delete", name, f"--project={PROJECT}")
    node.incus("profile", "delete", "small", f"--project={PROJECT}")


def test_a_copy_that_is_out_of_date_is_not_taken_for_the_container(
    driver: IncusDriver, other: IncusDriver, name: str
) -> None:
    finish(driver.create(spec(name)))
    walk_away(driver.move(name, other))
    wait_until(lambda: not under_way(driver.client, name))
    driver.write_file(name, "/root/later", BytesIO(b"kept"))
    finish(driver.move(name, other))
    assert driver.instance(name) is None
    assert b"".join(other.read_file(name, "/root/later")) == b"kept"


def test_who_comes_too_late_to_clear_away_an_old_copy_leaves_the_container(
    driver: IncusDriver, other: IncusDriver, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was stopped for longer than its lease finds the work of another one."""
    finish(driver.create(spec(name)))
    for progress in driver.move(name, other):
        if progress.step == "Verifying the copy":
            break
    driver.write_file(name, "/root/later", BytesIO(b"kept"))  # the copy is out of date from now on
    late = IncusDriver(other.server)
    clear = late.discard

    def overtaken(found: IncusInstance, step: str) -> Iterator[Progress]:
        finish(driver.move(name, other))
        return clear(found, step)

    monkeypatch.setattr(late, "discard", overtaken)
    assert isinstance(refusal(driver.move(name, late)), Conflict)
    assert driver.look(name) is None
    assert b"".join(other.read_file(name, "/root/later")) == b"kept"


def test_who_clears_away_is_told_beforehand_that_the_work_is_no_longer_its_own(
    node: IncusNode, driver: IncusDriver, name: str
) -> None:
    put_half_made(node, name)
    for progress in driver.create(spec(name)):
        if progress.step == "Clearing away a broken try":
            break
    wait_until(lambda: not under_way(driver.client, name))
    assert driver.look(name)


def test_a_move_to_a_server_that_is_gone_leaves_the_container_where_it_was(
    node: IncusNode, driver: IncusDriver, other: IncusDriver, name: str
) -> None:
    finish(other.create(spec(name)))
    node.kill()
    assert isinstance(refusal(other.move(name, driver)), Unreachable)
    assert power(other, name) is Power.STOPPED
    node.start()
    finish(other.move(name, driver))
    assert power(driver, name) is Power.STOPPED
    assert other.instance(name) is None


@pytest.fixture
def small_pool(node: IncusNode, tmp_path: Path) -> Iterator[str]:
    """A storage pool with room for little more than one container."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], check=True)
    try:
        node.incus("storage", "create", "small", "dir", f"source={folder}")
        yield "small"
        node.incus("storage", "delete", "small")
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_pool_is_no_room_and_leaves_nothing(
    node: IncusNode, driver: IncusDriver, small_pool: str, name: str
) -> None:
    small = IncusDriver(driver.server, pool=small_pool)
    finish(small.create(spec(name)))
    with pytest.raises(NoRoom):
        small.write_file(name, "/root/large", BytesIO(bytes(4 << 20)))
    assert [found.name for found in small.list_folder(name, "/root")] == [".ssh"]
    assert isinstance(refusal(small.create(spec(f"{name}-b"))), NoRoom)
    assert not node.has(f"{name}-b")
    finish(small.delete(name))


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


def test_a_token_goes_only_to_the_server_that_made_it(
    servers: list[IncusNode], tmp_path: Path
) -> None:
    token = read_token(servers[0].prepare())
    identity = make_identity(tmp_path / "new.pem")
    elsewhere = replace(token, addresses=(servers[1].address,))
    with pytest.raises(Unreachable, match="not the one that the token names"):
        join(elsewhere, identity)
    assert join(replace(token, addresses=(servers[1].address, *token.addresses)), identity)


def test_a_token_lets_in_once(servers: list[IncusNode], tmp_path: Path) -> None:
    text = servers[0].prepare()
    first, second = (make_identity(tmp_path / f"{each}.pem") for each in ("first", "second"))
    for _ in range(2):
        assert IncusDriver(join(read_token(text), first)).images() == [IMAGE]
    with pytest.raises(BadToken):
        join(read_token(text), second)


@pytest.mark.parametrize("text", ["", "token", "e30=", "bm90IGpzb24=", "eyJhZGRyZXNzZXMiOiBbXX0="])
def test_what_is_no_token_is_told_from_one(text: str) -> None:
    with pytest.raises(BadToken):
        read_token(text)


def test_a_token_for_another_project_is_refused(servers: list[IncusNode], tmp_path: Path) -> None:
    text = servers[0].incus("config", "trust", "add", "x", "--restricted", "--projects=default")
    with pytest.raises(BadToken):
        join(read_token(text.split()[-1]), make_identity(tmp_path / "new.pem"))


def test_the_panels_key_is_made_once_and_for_its_eyes_only(tmp_path: Path) -> None:
    file = make_identity(tmp_path / "keys/panel.pem")
    content = file.read_bytes()
    assert make_identity(file).read_bytes() == content
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["panel.pem"]


def test_the_panels_certificate_is_renewed(servers: list[IncusNode], tmp_path: Path) -> None:
    old, new = (make_identity(tmp_path / f"{each}.pem") for each in ("old", "new"))
    before = join(read_token(servers[0].prepare()), old)
    for _ in range(2):
        after = renew(before, new)
        assert IncusDriver(after).images() == [IMAGE]
    with pytest.raises(NotTrusted):
        IncusDriver(before).images()


def test_a_server_says_what_it_is(driver: IncusDriver) -> None:
    about = describe(driver.client)
    assert about.name == os.uname().nodename
    assert not about.members
    assert not about.obstacles


def test_what_stands_in_the_way_is_said_in_words(
    node: IncusNode, driver: IncusDriver, tmp_path: Path
) -> None:
    def obstacle(client: Client, pool: str = "default") -> str:
        [sentence] = describe(client, pool).obstacles
        return sentence

    assert "no storage pool 'fast'" in obstacle(driver.client, "fast")
    assert "no such file" in obstacle(Client(Server(str(tmp_path / "s")))).lower()
    node.kill()
    assert "does not answer" in obstacle(driver.client)


@pytest.mark.parametrize("local", [False, True])
def test_news_come_as_they_happen(
    node: IncusNode, driver: IncusDriver, name: str, local: bool
) -> None:
    server = Server(node.socket) if local else driver.server
    with asyncio.Runner() as runner:
        news = events(server)

        def told() -> Event | None:
            return runner.run(asyncio.wait_for(anext(news), PATIENCE))

        assert told() is None
        for happens in (
            lambda: finish(driver.create(spec(name))),
            lambda: finish(driver.start(name)),
            lambda: node.incus("stop", "--force", name, f"--project={PROJECT}"),
            lambda: finish(driver.delete(name)),
        ):
            happens()
            assert told() == Event(member="")
        node.kill()
        with pytest.raises(Unreachable):
            all(iter(told, None))


def test_a_move_in_a_cluster_that_ends_between_two_looks_is_done(
    member_drivers: list[IncusDriver], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = member_drivers
    finish(here.create(spec(name)))
    real = moving._fit_to_move

    def overtaken(driver: IncusDriver, name: str) -> IncusInstance:
        monkeypatch.setattr(moving, "_fit_to_move", real)
        finish(here.move(name, there))
        return real(driver, name)

    monkeypatch.setattr(moving, "_fit_to_move", overtaken)
    finish(here.move(name, there))
    assert here.instance(name) is None
    assert power(there, name) is Power.STOPPED
    finish(there.delete(name))


@pytest.fixture
def second_pool(members: list[IncusNode]) -> Iterator[str]:
    """Another storage pool of the cluster."""
    for target in ("--target=node1", "--target=node2"):
        members[0].incus("storage", "create", "second", "dir", target)
    members[0].incus("storage", "create", "second", "dir")
    yield "second"
    members[0].incus("storage", "delete", "second")


def test_a_member_that_hangs_or_dies_does_not_hold_up_the_others(
    members: list[IncusNode], member_drivers: list[IncusDriver], second_pool: str
) -> None:
    first, second = member_drivers
    name = f"ct-{os.getpid()}-x{next(_numbers)}"
    finish(second.create(spec(name)))
    elsewhere = IncusDriver(second.server, member="node2", pool=second_pool)
    finish(elsewhere.create(spec(f"{name}-elsewhere")))
    finish(first.create(spec(f"{name}-first")))
    through_first = IncusDriver(first.server, member="node2")
    assert through_first.instances().keys() == {name, f"{name}-elsewhere"}
    try:
        members[1].pause()
        start = time.monotonic()
        assert first.instances().keys() == {f"{name}-first"}
        assert time.monotonic() - start < first.timeout
        members[1].resume()
        members[1].kill()
        start = time.monotonic()
        for driver in (second, through_first):
            with pytest.raises(Unreachable):
                driver.instances()
            with pytest.raises(Unreachable):
                driver.instance(name)
        assert first.instances().keys() == {f"{name}-first"}
        assert time.monotonic() - start < 20
    finally:
        members[1].resume()
        members[1].start()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(DriverError):
            if second.instances() and through_first.instances():
                break
        time.sleep(0.2)
    assert power(second, name) is Power.STOPPED
    for driver, there in ((second, name), (second, f"{name}-elsewhere"), (first, f"{name}-first")):
        finish(driver.delete(there))
    about = describe(first.client)
    assert [member.name for member in about.members] == ["node1", "node2"]
    assert about.members[1].address == second.server.address


def test_a_container_moves_into_a_cluster_and_out_again(
    driver: IncusDriver, member_drivers: list[IncusDriver], name: str
) -> None:
    finish(driver.create(spec(name)))
    for here, there in ((driver, member_drivers[1]), (member_drivers[1], driver)):
        finish(here.move(name, there))
        assert here.instance(name) is None
        assert power(there, name) is Power.STOPPED


def test_whoever_wants_the_files_of_what_runs_is_told_why_not(
    driver: IncusDriver, running: str
) -> None:
    with pytest.raises(Conflict) as caught:
        driver.list_folder(running, "/")
    assert "only while the container is stopped" in caught.value.sentence
