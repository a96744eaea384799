"""What every driver promises, of whatever kind its node is: usage."""

from __future__ import annotations

from dataclasses import astuple

from .conftest import Nodes, finish


def test_what_runs_is_measured_and_what_is_stopped_is_not(nodes: Nodes, stopped: str) -> None:
    assert stopped not in nodes.here.usage()
    finish(nodes.here.start(stopped))
    assert stopped in nodes.here.usage()
    assert stopped not in nodes.there.usage()
    finish(nodes.here.stop(stopped, force=True))
    assert stopped not in nodes.here.usage()


def test_what_runs_has_used_something_and_nothing_more_than_it_can(
    nodes: Nodes, running: str
) -> None:
    used = nodes.here.usage()[running]
    spec = nodes.spec(running)
    assert used.cpu_seconds is not None
    assert 0 <= used.cpu_seconds < 3600
    assert 0 < used.memory_bytes <= spec.memory_mb * 1024**2
    assert used.disk_bytes is None or 0 <= used.disk_bytes <= spec.disk_gb * 1024**3
    assert used.received_bytes is not None
    assert used.sent_bytes is not None
    assert min(used.received_bytes, used.sent_bytes) >= 0


def test_a_counter_only_grows_while_it_runs(nodes: Nodes, running: str) -> None:
    before, after = (nodes.here.usage()[running] for _ in range(2))
    for counter in ("cpu_seconds", "received_bytes", "sent_bytes"):
        assert getattr(after, counter) >= getattr(before, counter)


def test_the_node_itself_is_measured_whatever_runs_on_it(nodes: Nodes, running: str) -> None:
    for node in (nodes.here, nodes.there):
        used, resources = node.usage()[""], node.resources()
        assert 0 < used.memory_bytes <= resources.memory_mb * 1024**2
        assert all(value is None or value >= 0 for value in astuple(used))
    assert nodes.here.usage()[""].memory_bytes >= nodes.here.usage()[running].memory_bytes


def test_what_is_not_ours_is_not_measured(nodes: Nodes, name: str) -> None:
    nodes.put_stranger(name)
    assert name not in nodes.here.usage()
