"""How answers of Incus are read: no server is needed for that."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest

from containers.drivers import (
    Conflict,
    DriverError,
    Instance,
    NoImageServer,
    NoRoom,
    NoSuchImage,
    NoSuchInstance,
    Power,
    Progress,
    Refused,
    Unreachable,
    Usage,
)
from containers.drivers.incus import Client, IncusDriver, Server
from containers.drivers.incus.addresses import Addresses
from containers.drivers.incus.errors import NotFound, error
from containers.drivers.incus.instances import ID, STATE, WHOLE, IncusInstance
from containers.drivers.incus.operations import _progress
from containers.drivers.incus.usage import of_instance


@pytest.mark.parametrize(
    ("told", "progress"),
    [
        (None, Progress(None, "At work")),
        ({"download_progress": "rootfs: 12% (3.40MB/s)"}, Progress(12, "Fetching the system")),
        ({"progress": {"percent": "40"}}, Progress(40, "At work")),
        (
            {"progress": {"percent": "100"}, "fs_progress": "berth_ct-7: 1.09GB (29.96MB/s)"},
            Progress(None, "At work", copied="1.09GB"),
        ),
    ],
)
def test_how_far_the_work_is_comes_from_what_is_done_just_now(
    told: dict[str, Any] | None, progress: Progress
) -> None:
    assert _progress(told, "At work") == progress


def found(**more: Any) -> IncusInstance:
    raw = {"name": "ct-1", "status": "Running", "location": "none", "config": {}, "devices": {}}
    return IncusInstance({**raw, **more})


def card(*addresses: tuple[str, str]) -> dict[str, Any]:
    return {"addresses": [{"address": address, "scope": scope} for address, scope in addresses]}


@pytest.mark.parametrize(
    ("text", "code", "kind"),
    [
        ("Unable to unpack image, run out of disk space", 0, NoRoom),
        ('Reached maximum number of instances of type "container"', 400, NoRoom),
        ("Failed getting image: Image not found", 404, NoSuchImage),
        ('Failed getting remote image info: Image "none/1" not found', 0, NoSuchImage),
        ("Failed getting remote image info: Failed getting image: not found", 0, NoSuchImage),
        ('Failed getting remote image info: Get "https://images": EOF', 0, NoImageServer),
        ('Failed to connect to the server "https://images": refused', 0, NoImageServer),
        ("Failed getting remote image info: Failed parsing stream: 404", 0, NoImageServer),
        ('Failed to fetch instance "ct-1": Instance not found', 404, NoSuchInstance),
        ('Instance is busy running a "create" operation', 400, Conflict),
        ("The instance is already stopped", 0, Conflict),
        ("The instance is already running", 0, Conflict),
        ("Missing event connection with target cluster member", 500, Unreachable),
        ("Server isn't ready yet", 500, Unreachable),
        ("", 503, Unreachable),
        ("not found", 404, NotFound),
        ('User does not have permission for project "default"', 403, Refused),
        ("something that nobody has seen yet", 500, Refused),
    ],
)  # fmt: skip
def test_a_refusal_is_told_by_its_text(text: str, code: int, kind: type[DriverError]) -> None:
    meant = error(text, code)
    assert type(meant) is kind
    assert meant.detail == (text or f"HTTP {code}")


def test_a_refusal_without_end_fits_a_page() -> None:
    assert len(error("no " * 10**6, 400).detail) < 10_000


@pytest.mark.parametrize(
    ("status", "power"),
    [
        ("Running", Power.RUNNING),
        ("Frozen", Power.RUNNING),
        ("Stopped", Power.STOPPED),
        ("Stopping", Power.BUSY),
        ("Error", Power.ERROR),
    ],
)
def test_a_status_of_incus_is_told_in_our_words(status: str, power: Power) -> None:
    assert found(status=status).power is power


def test_the_address_is_the_one_that_others_can_reach() -> None:
    network = {
        "lo": card(("127.0.0.1", "local")),
        "eth0": card(("fe80::1", "link"), ("2001:db8::9", "global"), ("10.0.3.9", "global")),
    }
    assert found(state={"network": network}).address == "10.0.3.9"
    assert found(state={"network": {"eth0": card(("2001:db8::9", "global"))}}).address
    zoned = found(state={"network": {"eth0": card((f"2001:db8::9%{'x' * 99}", "global"))}})
    assert zoned.address == "2001:db8::9"
    assert found(state={"network": None}).address == ""
    assert found(state=None).address == ""


@pytest.mark.parametrize(
    ("state", "volatile", "whole"),
    [
        ("new", {}, False),
        ("new", {"volatile.apply_template": "create"}, True),
        ("new", {"volatile.idmap.current": "[]"}, True),
        ("new", {"volatile.last_state.power": "RUNNING"}, True),
        ("arriving", {"volatile.apply_template": "copy"}, False),
        ("whole", {}, True),
    ],
)
def test_what_is_whole_is_told_from_what_is_not(
    state: str, volatile: dict[str, str], whole: bool
) -> None:
    marks = {"user.berth.id": "1", "user.berth.state": state}
    assert found(config=marks | volatile).is_whole is whole
    assert not found(config=volatile).is_whole


def test_limits_are_read_in_whatever_way_they_are_written() -> None:
    config = {"limits.cpu": "0-3", "limits.memory": "2GB"}
    devices = {"root": {"path": "/", "size": "10GiB"}}
    spec = found(expanded_config=config, expanded_devices=devices).spec()
    assert (spec.cpus, spec.memory_mb, spec.disk_gb) == (0, 1907, 10)
    relative = found(expanded_config={"limits.memory": "50%"}, expanded_devices={}).spec()
    assert (relative.cpus, relative.memory_mb, relative.disk_gb) == (0, 0, 0)


def test_addresses_are_asked_for_in_turn_and_remembered_for_a_run() -> None:
    addresses = Addresses()
    first = [found(name=f"ct-{n}", last_used_at="1") for n in range(5)]
    asked = addresses.due(first)
    assert len(asked) == 3
    told = found(
        name="ct-0", last_used_at="1", state={"network": {"eth0": card(("10.0.3.9", "global"))}}
    )
    addresses.learn(told)
    assert {each.name for each in addresses.due(first)} == {"ct-3", "ct-4"}
    assert not addresses.due(first)
    assert [addresses.of(each) for each in first] == ["10.0.3.9", "", "", "", ""]
    again = [found(name="ct-0", last_used_at="2")]
    assert addresses.of(again[0]) == ""
    assert addresses.due(again) == again
    assert not addresses.due([found(name="ct-9", last_used_at="1", status="Stopped")])


def test_an_address_that_is_known_is_asked_for_again_and_no_more_of_them_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    addresses = Addresses()

    def told(number: int, address: str) -> IncusInstance:
        network = {"network": {"eth0": card((address, "global"))}}
        return found(name=f"ct-{number}", last_used_at="1", state=network)

    listed = [told(number, f"10.0.3.{number}") for number in range(5)]
    for each in listed:
        addresses.learn(each)
        now[0] += 1
    assert not addresses.due(listed)
    now[0] += 88
    assert [each.name for each in addresses.due(listed)] == ["ct-0", "ct-1", "ct-2"]
    now[0] += 5
    assert [each.name for each in addresses.due(listed)] == ["ct-3", "ct-4"]
    assert addresses.of(listed[4]) == "10.0.3.4"
    addresses.learn(told(4, "10.0.3.44"))
    assert addresses.of(listed[4]) == "10.0.3.44"
    now[0] += 300
    addresses.learn(told(4, "10.0.3.44"))  # such as when its usage is measured
    assert "ct-4" not in {each.name for each in addresses.due(listed)}


def told_to_use(**state: Any) -> IncusInstance:
    counters = {"bytes_received": 700, "bytes_sent": 70}
    cards = {name: {"counters": counters} for name in ("lo", "eth0", "eth1", "docker0", "veth9")}
    whole = {
        "pid": 7,
        "cpu": {"usage": 2_000_000_000},
        "memory": {"usage": 4096},
        "disk": None,
        "network": cards,
    }
    devices = {
        "root": {"type": "disk", "path": "/"},
        "eth0": {"type": "nic", "name": "eth0"},
        "second": {"type": "nic"},
    }
    return found(
        state=whole | state, expanded_devices=devices, config={"volatile.second.name": "eth1"}
    )


def test_traffic_is_that_of_the_cards_that_a_container_was_given() -> None:
    assert of_instance(told_to_use()) == Usage(2.0, 4096, None, 1400, 140)


@pytest.mark.parametrize(
    "unread",
    [
        {"cpu": {"usage": -1}},
        {"cpu": {"usage": 0}},
        {"memory": {"usage": -1}},
        {"network": None},
        {"pid": 0},
    ],
)
def test_what_cannot_be_read_just_now_is_no_reading(unread: dict[str, Any]) -> None:
    assert of_instance(told_to_use(**unread)) is None


class OneHangs:
    """A cluster whose member m3 takes questions and answers none; no disk is in the pool that
    the driver knows."""

    def __init__(self, *, hung: bool) -> None:
        self.hung = hung
        self.raws = [
            {"name": f"ct-{number}", "location": "m3" if number > 1 else "m1", "status": "Running",
             "last_used_at": "", "type": "container", "state": None,
             "config": {ID: "x", STATE: WHOLE}}
            for number in range(1, 41)
        ]  # fmt: skip

    def get(self, path: str, *, within: float, **params: int) -> list[Any]:
        if "/volumes/" in path:
            return []
        if not params:
            return [f"/1.0/instances/{raw['name']}?project=berth" for raw in self.raws]
        if self.hung:
            raise Unreachable("no answer in time")
        return self.raws

    def find(self, path: str, *, within: float, **params: int) -> dict[str, Any]:
        [raw] = [raw for raw in self.raws if path == f"/1.0/instances/{raw['name']}"]
        if raw["location"] == "m3":
            time.sleep(within)
            raise Unreachable("no answer in time")
        return raw


def test_where_instances_are_is_remembered_for_when_a_member_hangs() -> None:
    driver = IncusDriver(Server("https://127.0.0.1:1", timeout=2), member="m1")
    driver.client = cast(Client, OneHangs(hung=False))
    assert list(driver.instances()) == ["ct-1"]
    driver.client = cast(Client, OneHangs(hung=True))
    seen = driver.instances()
    assert {name: found.power for name, found in seen.items()} == {"ct-1": Power.RUNNING}


class ListTooLong:
    """What is asked of a server that does not tell of all its instances in time, nor of one."""

    def get(self, path: str, *, within: float, **params: int) -> list[str]:
        if params:
            raise Unreachable("no answer in time")
        return ["/1.0/instances/ct-1?project=berth"]

    def find(self, path: str, *, within: float, **params: int) -> None:
        raise Unreachable("no answer in time")


def test_of_one_that_gives_no_answer_no_more_is_said_than_that_it_is_there() -> None:
    driver = IncusDriver(Server("https://127.0.0.1:1", timeout=3))
    driver.client = cast(Client, ListTooLong())
    assert driver.instances() == {"ct-1": Instance("ct-1", Power.ERROR, known=False)}
    assert driver.unfinished() == {"ct-1": False}
