"""What is made on an Incus server is what was ordered; what is half made or another's is not."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from containers.drivers import NoRoom, NoSuchInstance, Power, Unreachable
from containers.drivers.incus import Client, IncusDriver
from containers.drivers.incus.operations import under_way
from tests.drivers.conftest import eventually, finish, refusal, walk_away
from tests.incus_node import IMAGE, PROJECT, IncusNode, wait_until

from .conftest import power, put_half_made, spec

pytestmark = pytest.mark.incus


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


def test_who_clears_away_is_told_beforehand_that_the_work_is_no_longer_its_own(
    node: IncusNode, driver: IncusDriver, name: str
) -> None:
    put_half_made(node, name)
    for progress in driver.create(spec(name)):
        if progress.step == "Clearing away a broken try":
            break
    wait_until(lambda: not under_way(driver.client, name))
    assert driver.look(name)


def test_there_is_progress_every_second(
    driver: IncusDriver, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited, get = [], Client.get

    def noted(client: Client, path: str, **asked: Any) -> Any:
        if path.endswith("/wait"):
            waited.append(asked["timeout"])
        return get(client, path, **asked)

    monkeypatch.setattr(Client, "get", noted)
    seen = finish(driver.create(spec(name)))
    assert set(waited) == {1}
    assert len(seen) >= len(waited)


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


def test_what_somebody_is_only_making_by_hand_is_not_listed(
    node: IncusNode, driver: IncusDriver, name: str
) -> None:
    node.make_by_hand(name)
    node.incus("config", "unset", name, "volatile.apply_template", f"--project={PROJECT}")
    assert name not in driver.instances()
    with pytest.raises(NoSuchInstance):
        driver.claim(name, {})
    node.incus("delete", name, f"--project={PROJECT}")


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
