"""The eleven statuses: their words, their three kinds, and how each transient one ends."""

from __future__ import annotations

import pytest

from containers.models import Container
from containers.operations import work
from containers.statuses import NOWHERE, TRANSIENT, Status


def test_there_are_eleven_and_they_read_as_people_know_them() -> None:
    assert {status.value: status.label for status in Status} == {
        "ordered": "Ordered",
        "creating": "Creating",
        "running": "Running",
        "repairing": "Repairing",
        "booting": "Booting",
        "stopping": "Stopping",
        "stopped": "Stopped",
        "destroying": "Destroying",
        "destroyed": "Destroyed",
        "offline": "Off-line",
        "migrating": "Migrating",
    }


def test_a_transient_status_is_one_that_work_leads_to() -> None:
    led_to = {arrow.target for arrow in Container.transitions() if arrow.custom.get("deadline")}
    assert led_to == TRANSIENT
    assert not TRANSIENT & NOWHERE


@pytest.mark.parametrize("status", sorted(TRANSIENT))
@pytest.mark.parametrize("ok", [True, False], ids=["good", "bad"])
def test_a_transient_status_has_exactly_one_good_and_one_bad_end(status: Status, ok: bool) -> None:
    ends = [
        arrow.name
        for arrow in Container.transitions()
        if arrow.source == status and arrow.custom.get("ok") is ok
    ]
    assert len(ends) == 1


@pytest.mark.parametrize("status", sorted(set(Status) - TRANSIENT))
def test_a_status_at_rest_has_no_end_of_work(status: Status) -> None:
    assert not [
        arrow.name
        for arrow in Container.transitions()
        if arrow.source == status and "ok" in arrow.custom
    ]


def test_nothing_leads_out_of_destroyed() -> None:
    assert not [arrow for arrow in Container.transitions() if arrow.source == Status.DESTROYED]


def test_an_action_with_a_deadline_has_its_steps_and_every_step_its_action() -> None:
    with_work = {name for name, action in Container.actions().items() if action.deadline}
    assert with_work == set(work.STEPS)


def test_whatever_is_on_a_node_can_be_lost_with_it() -> None:
    assert set(Container.sources_of("lost")) == set(Status) - NOWHERE - {Status.OFFLINE}


def test_off_line_gives_way_to_all_that_a_node_can_report_and_to_nothing_else() -> None:
    """But for one that its node is known not to have: there is nothing to wait for."""
    ways_out = [arrow for arrow in Container.transitions() if arrow.source == Status.OFFLINE]
    reported: set[str] = set()
    for arrow in ways_out:
        if arrow.conditions == [Container.is_gone]:
            continue
        reported |= set(getattr(arrow.target, "allowed_states", None) or [arrow.target])
    assert reported == {Status.RUNNING, Status.STOPPED} | TRANSIENT
