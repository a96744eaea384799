"""Whatever people, nodes, gateways and crashes do, in whatever order: the promises hold.

BERTH_MODEL_EXAMPLES says how many lives are tried: 400 take some minutes.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from pytest_django import Settings

from containers.connect import connect
from containers.drivers.simulated import driver, store
from containers.drivers.simulated import node as simulated_node
from containers.models import Node
from containers.operations import carrying
from tests.conftest import Clock, Worker
from tests.containers.machine import Panel
from tests.containers.trouble import Troubled, VirtualTime

EXAMPLES = int(os.environ.get("BERTH_MODEL_EXAMPLES", "20"))


@pytest.mark.django_db
def test_whatever_happens_nothing_is_lost_doubled_or_stuck(
    worker: Worker, clock: Clock, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.CREATE_PAUSES = [1, 5]
    monkeypatch.setattr(carrying, "PULSE", 0)
    monkeypatch.setattr(driver, "_POLL", 0.5)
    settings.STOP_LIMIT = timedelta(seconds=10)
    for module in (carrying, driver, simulated_node, store):
        monkeypatch.setattr(module, "time", VirtualTime(clock))

    machines: list[Panel] = []

    class Tried(Panel):
        def __init__(self) -> None:
            super().__init__()
            machines[:] = [self]

    Tried.worker, Tried.clock = worker, clock

    def troubled(row: Node, **more: Any) -> Any:
        return Troubled(connect(row, **more), lambda: machines[0].trouble)

    monkeypatch.setattr(carrying, "connect", troubled)
    run_state_machine_as_test(Tried, settings=profile())


def profile() -> settings:
    return settings(
        max_examples=EXAMPLES,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
