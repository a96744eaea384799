"""The door for asking: everything in one transaction, one effect, a sentence for the others."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from containers import operations
from containers.models import Container, Operation, StatusChange
from containers.operations import NotAllowed
from containers.statuses import Status
from panel.models import User
from tests.cast import (
    effects_on,
)
from tests.conftest import Worker
from tests.containers.acts import fresh, history

pytestmark = pytest.mark.django_db


def test_asking_writes_status_operation_and_history_and_wakes_the_worker(
    container: Container, lena: User, worker: Worker
) -> None:
    before = container.revision
    operation = operations.request(container.pk, "start", by=lena, because="she wants it")
    assert operation is not None
    assert worker.waiting == [operation.pk]

    container = fresh(container)
    assert (container.status, container.operation) == (Status.BOOTING, operation)
    assert container.revision > before
    assert (operation.kind, operation.was, operation.during) == ("start", "stopped", "booting")
    assert (operation.asked_by, operation.node) == (lena, container.node)
    assert operation.deadline_at - operation.asked_at == Container.deadline_of("start")

    [change] = container.changes.all()
    assert (change.from_status, change.to_status) == ("stopped", "booting")
    assert (change.by, change.because, change.operation) == (lena, "she wants it", operation)
    assert change.at == container.status_since


@pytest.mark.parametrize("broken_part", ["Operation", "StatusChange"])
def test_a_failure_in_the_middle_leaves_nothing(
    broken_part: str,
    container: Container,
    lena: User,
    worker: Worker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the power failed")

    model = {"Operation": Operation, "StatusChange": StatusChange}[broken_part]
    monkeypatch.setattr(model, "save", fail)
    with pytest.raises(RuntimeError):
        operations.request(container.pk, "start", by=lena)
    assert fresh(container).status == Status.STOPPED
    assert not Operation.objects.exists()
    assert not StatusChange.objects.exists()
    assert worker.waiting == []


def test_what_is_done_at_once_needs_no_work(
    container: Container, lena: User, worker: Worker
) -> None:
    assert operations.request(container.pk, "repair", by=lena) is None
    assert fresh(container).status == Status.REPAIRING
    assert history(container) == [("stopped", "repairing")]
    assert worker.waiting == []


def test_who_comes_too_late_gets_the_fresh_row_and_a_plain_sentence(
    container: Container, lena: User, ada: User
) -> None:
    operations.request(container.pk, "start", by=lena)
    with pytest.raises(NotAllowed) as refusal:
        operations.request(container.pk, "destroy", by=ada)
    assert refusal.value.container.status == Status.BOOTING
    assert refusal.value.sentence == "web-01 is Booting now: Destroy is not possible."


def test_a_double_click_has_one_effect(
    container: Container, as_lena: Client, worker: Worker
) -> None:
    address = f"/containers/{container.pk}/act/"
    answers = [as_lena.post(address, {"action": "start"}).status_code for _ in range(2)]
    assert answers == [302, 409]
    worker.carry_out_all()
    assert container.operations.count() == 1
    assert effects_on(container.node, of=container) == ["created", "started"]


@pytest.mark.parametrize("nonsense", ["", "booted", "lost", "delete", "save", "__init__", "pk"])
def test_only_an_action_can_be_asked_for(nonsense: str, container: Container, ada: User) -> None:
    with pytest.raises(NotAllowed):
        operations.request(container.pk, nonsense, by=ada)
    assert fresh(container).status == Status.STOPPED


def test_the_database_itself_refuses_a_second_open_operation(
    container: Container, lena: User
) -> None:
    first = operations.request(container.pk, "start", by=lena)
    assert first is not None
    with pytest.raises(IntegrityError), transaction.atomic():
        Operation.objects.create(
            container=container,
            kind="stop",
            was="running",
            during="stopping",
            deadline_at=first.deadline_at,
        )


def test_a_problem_is_forgotten_when_something_new_is_asked(
    container: Container, lena: User
) -> None:
    Container.objects.update(problem="It did not start.")
    operations.request(container.pk, "start", by=lena)
    assert fresh(container).problem == ""
