"""What a simulated container uses is believable, and the same whoever asks."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from containers.drivers import Power, Spec
from containers.drivers.simulated.usage import DAY, usage_of
from tests.drivers.conftest import IMAGE, finish, install

NOW = 1_790_000_000.0
SPEC = Spec("ct-7", "web", IMAGE, 2, 2048, 40)
MIB, GIB = 1024**2, 1024**3

names = st.integers(1, 10**6).map(lambda number: f"ct-{number}")
moments = st.floats(NOW, NOW + 3e7)


def cores(spec: Spec, at: float, seconds: float) -> float:
    before, after = usage_of(spec, NOW, at), usage_of(spec, NOW, at + seconds)
    assert before.cpu_seconds is not None
    assert after.cpu_seconds is not None
    return (after.cpu_seconds - before.cpu_seconds) / seconds


@given(names, moments, st.floats(1, 3e6))
def test_counters_only_grow_and_nothing_uses_more_than_it_has(
    name: str, at: float, seconds: float
) -> None:
    spec = replace(SPEC, name=name)
    before, after = usage_of(spec, NOW, at), usage_of(spec, NOW, at + seconds)
    assert 0 < cores(spec, at, seconds) < spec.cpus
    for counter in ("received_bytes", "sent_bytes"):
        assert 0 <= getattr(before, counter) <= getattr(after, counter)
    for usage in (before, after):
        assert 0 < usage.memory_bytes < spec.memory_mb * MIB
        assert usage.disk_bytes is not None
        assert 0 < usage.disk_bytes < spec.disk_gb * GIB


@given(names, moments)
def test_it_is_the_same_whoever_asks_and_counts_from_its_boot(name: str, at: float) -> None:
    spec = replace(SPEC, name=name)
    assert usage_of(spec, NOW, at) == usage_of(spec, NOW, at)
    booted = usage_of(spec, at, at)
    assert (booted.cpu_seconds, booted.received_bytes, booted.sent_bytes) == (0, 0, 0)


def test_a_day_has_its_ups_and_downs_and_no_two_containers_are_alike() -> None:
    for number in range(20):
        spec = replace(SPEC, name=f"ct-{number}")
        day = [cores(spec, NOW + hour * DAY / 24, DAY / 24) for hour in range(24)]
        assert max(day) > 1.8 * min(day)
        assert day != [
            cores(replace(SPEC, name="ct-99"), NOW + hour * DAY / 24, DAY / 24)
            for hour in range(24)
        ]


def test_a_restart_begins_the_counters_again(tmp_path: Path) -> None:
    node = install(tmp_path / "node")
    node.seed(SPEC, Power.RUNNING)
    before = node.usage()["ct-7"]
    finish(node.stop("ct-7"))
    finish(node.start("ct-7"))
    after = node.usage()["ct-7"]
    assert before.cpu_seconds is not None
    assert after.cpu_seconds is not None
    assert after.cpu_seconds < 60 < before.cpu_seconds


def test_asking_it_to_start_again_does_not_begin_them_again(
    tmp_path: Path, slept: list[float]
) -> None:
    node = install(tmp_path / "node")
    node.seed(SPEC)
    finish(node.start("ct-7"))
    booted = node._node.state("ct-7")
    assert booted
    assert booted.booted == time.time()
    node.power("ct-7", Power.RUNNING)
    finish(node.start("ct-7"))
    assert node._node.state("ct-7") == booted


def test_a_node_has_what_runs_on_it_and_something_for_itself(tmp_path: Path) -> None:
    node = install(tmp_path / "node")
    alone = node.usage()[""]
    for number in range(3):
        node.seed(replace(SPEC, name=f"ct-{number}"), Power.RUNNING)
    used = node.usage()
    itself = used.pop("")
    assert len(used) == 3
    assert itself.memory_bytes - alone.memory_bytes == sum(u.memory_bytes for u in used.values())
    assert itself.cpu_seconds is None
