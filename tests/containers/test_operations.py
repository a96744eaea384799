"""Asked at one door, carried out by a worker, ended at one door: what each of them promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from containers import operations
from containers.connect import simulated
from containers.drivers import Conflict, Power, Progress, Refused, Unreachable
from containers.drivers.simulated import Faults
from containers.models import Container, Node, Operation, StatusChange
from containers.operations import NotAllowed, carrying, outcomes, work
from containers.placement import NoRoomAnywhere
from containers.statuses import Status
from panel.models import User
from tests.cast import ContainerFactory, OrderFactory, effects_on, power_of, room_on, spec_of
from tests.conftest import Clock, Worker

pytestmark = pytest.mark.django_db

Steps = Callable[[work.Job], work.Steps]


class Killed(BaseException):
    """The worker's process is gone."""


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease is renewed at each sign of life, not only once a second."""
    monkeypatch.setattr(carrying, "PULSE", 0)


@pytest.fixture
def instead(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Steps], None]:
    """`instead("start", steps)`: the steps of a kind of work, played by the test."""

    def play(kind: str, steps: Steps) -> None:
        monkeypatch.setitem(work.STEPS, kind, steps)

    return play


def broken(node: Node, **faults: bool) -> None:
    simulated(node).set_faults(Faults(**faults))


def history(container: Container) -> list[tuple[str, str]]:
    changes = container.changes.order_by("pk")
    return [(change.from_status, change.to_status) for change in changes]


def fresh(container: Container) -> Container:
    return Container.objects.get(pk=container.pk)


def last_operation(container: Container) -> Operation:
    return container.operations.latest("pk")


def ask_and_wait(
    container: Container, action: str, worker: Worker, by: User, **more: Any
) -> Container:
    operations.request(container.pk, action, by=by, **more)
    worker.carry_out_all()
    return fresh(container)


# --- asking ----------------------------------------------------------------------------------


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


# --- carrying out ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "status", "ends", "did"),
    [
        ("start", "stopped", "running", ["started"]),
        ("stop", "running", "stopped", ["stopped"]),
        ("stop", "repairing", "stopped", []),
        ("restart", "running", "running", ["stopped", "started"]),
        ("destroy", "stopped", "destroyed", ["deleted"]),
        ("destroy", "repairing", "destroyed", ["deleted"]),
    ],
)
def test_work_ends_where_the_table_says_and_the_node_agrees(
    action: str,
    status: str,
    ends: str,
    did: list[str],
    lena: User,
    ada: User,
    node: Node,
    worker: Worker,
) -> None:
    container = ContainerFactory.create(customer=lena, status=status, node=node)
    before = effects_on(node, of=container)
    container = ask_and_wait(container, action, worker, ada)

    assert (container.status, container.problem, container.operation) == (ends, "", None)
    assert effects_on(node, of=container)[len(before) :] == did
    operation = last_operation(container)
    assert (operation.outcome, operation.progress, operation.attempts) == ("done", 100, 1)
    assert operation.ended_at == container.status_since
    assert operation.held_until is None
    if ends == "destroyed":
        assert (container.node, container.address) == (None, "")


def test_creation_makes_what_was_ordered(lena: User, node: Node, worker: Worker) -> None:
    container = ContainerFactory.create(customer=lena, status=Status.ORDERED, name="shop")
    operations.request(container.pk, "create", by=None)
    assert fresh(container).node == node
    worker.carry_out_all()
    container = fresh(container)
    assert container.status == Status.STOPPED
    assert effects_on(node, of=container) == ["created"]
    hostname = b"".join(simulated(node).read_file(container.instance_name, "/etc/hostname"))
    assert hostname.decode().strip() == "shop"


def test_the_address_that_the_node_gave_is_shown(
    container: Container, lena: User, worker: Worker
) -> None:
    container = ask_and_wait(container, "start", worker, lena)
    assert container.node is not None
    seen = simulated(container.node).instance(container.instance_name)
    assert seen is not None
    assert container.address == seen.address != ""


def test_a_restart_is_one_operation_that_passes_through_stopping_and_booting(
    lena: User, node: Node, worker: Worker
) -> None:
    container = ContainerFactory.create(customer=lena, status=Status.RUNNING, node=node)
    ask_and_wait(container, "restart", worker, lena)
    assert history(container) == [
        ("running", "stopping"),
        ("stopping", "booting"),
        ("booting", "running"),
    ]
    assert container.operations.count() == 1
    assert container.changes.exclude(operation=last_operation(container)).count() == 0


def test_what_the_node_says_while_it_works_can_be_watched(
    container: Container, lena: User, worker: Worker, instead: Any, every_step: None
) -> None:
    seen = []

    def steps(job: work.Job) -> work.Steps:
        for percent in (10, 60):
            before = fresh(container).revision
            yield Progress(percent, f"at {percent}")
            operation = last_operation(container)
            seen.append((operation.progress, operation.step, fresh(container).revision > before))
        yield from job.node.start(job.name)

    instead("start", steps)
    assert ask_and_wait(container, "start", worker, lena).status == Status.RUNNING
    assert seen == [(10, "at 10", True), (60, "at 60", True)]


def test_no_transaction_is_open_while_a_node_works(
    lena: User, node: Node, instead: Any, django_capture_on_commit_callbacks: Any
) -> None:
    """Seen from inside the test's own transaction: no savepoint is open."""
    connection = transaction.get_connection()
    depth = len(connection.savepoint_ids)
    container = ContainerFactory.create(customer=lena, node=node)
    deeper = []

    def steps(job: work.Job) -> work.Steps:
        deeper.append(len(connection.savepoint_ids) - depth)
        yield from job.node.start(job.name)

    instead("start", steps)
    operation = operations.request(container.pk, "start", by=lena)
    assert operation is not None
    operations.carry_out(operation.pk)
    assert deeper == [0]


# --- the lease -------------------------------------------------------------------------------


def test_an_operation_is_taken_by_one_worker(
    container: Container, lena: User, worker: Worker, instead: Any
) -> None:
    began = []

    def steps(job: work.Job) -> work.Steps:
        began.append(job.name)
        operations.carry_out(last_operation(container).pk)
        yield from job.node.start(job.name)

    instead("start", steps)
    ask_and_wait(container, "start", worker, lena)
    assert len(began) == 1
    assert last_operation(container).attempts == 1


def test_the_lease_is_renewed_while_the_node_shows_signs_of_life(
    container: Container,
    lena: User,
    worker: Worker,
    clock: Clock,
    instead: Any,
    every_step: None,
    settings: Any,
) -> None:
    began = []

    def steps(job: work.Job) -> work.Steps:
        began.append(job.name)
        for percent in range(0, 100, 10):
            clock.advance(by=settings.LEASE * 0.7)
            yield Progress(percent)
            operations.carry_out(last_operation(container).pk)
        yield from job.node.start(job.name)

    instead("start", steps)
    assert ask_and_wait(container, "start", worker, lena).status == Status.RUNNING
    assert len(began) == 1


def test_a_worker_that_lost_its_lease_writes_nothing_any_more(
    container: Container,
    lena: User,
    worker: Worker,
    clock: Clock,
    instead: Any,
    every_step: None,
    settings: Any,
) -> None:
    """It slept too long; another has taken the work over and is still at it."""
    operation = operations.request(container.pk, "start", by=lena)
    assert operation is not None
    others: list[Any] = []

    def steps(job: work.Job) -> work.Steps:
        if others:
            raise AssertionError("begun a third time")
        clock.advance(by=settings.LEASE * 2)
        Operation.objects.update(held_by="another", held_until=clock.now() + settings.LEASE)
        others.append(Operation.objects.values().get())
        yield Progress(50, "from the one who slept")
        raise AssertionError("went on after losing the lease")

    instead("start", steps)
    worker.carry_out_all()
    assert Operation.objects.values().get() == others[0]
    assert fresh(container).status == Status.BOOTING


def test_a_worker_that_lost_its_lease_cannot_end_the_operation(
    container: Container, lena: User, worker: Worker, instead: Any
) -> None:
    def steps(job: work.Job) -> work.Steps:
        yield from job.node.start(job.name)
        Operation.objects.update(held_by="another")

    instead("start", steps)
    container = ask_and_wait(container, "start", worker, lena)
    assert container.status == Status.BOOTING
    assert last_operation(container).is_open
    assert history(container) == [("stopped", "booting")]


def test_a_worker_that_lost_its_lease_leaves_no_words_behind(
    container: Container, lena: User, worker: Worker, instead: Any
) -> None:
    def steps(job: work.Job) -> work.Steps:
        yield Progress()
        Operation.objects.update(held_by="another")
        raise Conflict("somebody else is at it")

    instead("start", steps)
    container = ask_and_wait(container, "start", worker, lena)
    assert container.problem == ""
    assert last_operation(container).held_by == "another"


def test_a_dead_workers_operation_is_taken_up_again(
    container: Container,
    lena: User,
    worker: Worker,
    clock: Clock,
    instead: Any,
    settings: Any,
) -> None:
    real = work.STEPS["start"]

    def steps(job: work.Job) -> work.Steps:
        yield Progress()
        raise Killed

    instead("start", steps)
    operation = operations.request(container.pk, "start", by=lena)
    assert operation is not None
    with pytest.raises(Killed):
        worker.carry_out_all()
    instead("start", real)
    operations.carry_out(operation.pk)
    assert fresh(container).status == Status.BOOTING, "the lease has not run out yet"

    clock.advance(by=settings.LEASE + timedelta(seconds=1))
    operations.sweep()
    worker.carry_out_all()
    assert fresh(container).status == Status.RUNNING
    assert last_operation(container).attempts == 2
    assert effects_on(container.node, of=container) == ["created", "started"]


def test_a_node_never_has_more_work_at_once_than_it_may(
    lena: User, node: Node, worker: Worker, instead: Any, settings: Any
) -> None:
    settings.NODE_CONCURRENCY = 2
    containers = [ContainerFactory.create(customer=lena, node=node) for _ in range(5)]
    at_once, most = [0], [0]

    def steps(job: work.Job) -> work.Steps:
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        for open_one in list(Operation.objects.open()):
            operations.carry_out(open_one.pk)
        yield from job.node.start(job.name)
        at_once[0] -= 1

    instead("start", steps)
    for container in containers:
        operations.request(container.pk, "start", by=lena)
    worker.carry_out_all()
    assert most == [2]
    assert {fresh(container).status for container in containers} == {Status.RUNNING}


def test_a_node_with_a_hand_free_goes_on_with_what_waits(
    lena: User, node: Node, worker: Worker, instead: Any, settings: Any
) -> None:
    """Their own wake-ups came while its hands were full."""
    settings.NODE_CONCURRENCY = 1
    containers = [ContainerFactory.create(customer=lena, node=node) for _ in range(4)]
    real = work.STEPS["start"]

    def steps(job: work.Job) -> work.Steps:
        instead("start", real)
        while worker.waiting:
            operations.carry_out(worker.waiting[0])
            worker.lose_one()
        yield from job.node.start(job.name)

    instead("start", steps)
    for container in containers:
        operations.request(container.pk, "start", by=lena)
    worker.carry_out_all()
    assert {fresh(container).status for container in containers} == {Status.RUNNING}


# --- failing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "status", "ends"),
    [
        ("start", "stopped", "stopped"),
        ("stop", "running", "running"),
        ("restart", "running", "running"),
        ("destroy", "stopped", "stopped"),
        ("destroy", "repairing", "repairing"),
        ("migrate", "stopped", "stopped"),
    ],
)
def test_what_a_node_refuses_ends_where_it_began_and_says_why(
    action: str,
    status: str,
    ends: str,
    lena: User,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
) -> None:
    container = ContainerFactory.create(customer=lena, status=status, node=node)
    before = power_of(container)
    broken(node, failing=True)
    container = ask_and_wait(container, action, worker, ada)

    assert (container.status, container.node) == (ends, node)
    assert container.problem == Refused.sentence
    assert power_of(container) == before
    operation = last_operation(container)
    assert (operation.outcome, operation.error) == ("failed", Refused.sentence)
    assert operation.error_detail.startswith("Failed")
    assert operation.attempts == 1
    assert container.changes.latest("pk").because == Refused.sentence


def test_a_restart_that_cannot_boot_ends_stopped_and_says_why(
    lena: User, node: Node, worker: Worker, instead: Any
) -> None:
    container = ContainerFactory.create(customer=lena, status=Status.RUNNING, node=node)

    def steps(job: work.Job) -> work.Steps:
        yield from job.node.stop(job.name)
        yield work.HALF_WAY
        broken(node, failing=True)
        yield from job.node.start(job.name)

    instead("restart", steps)
    container = ask_and_wait(container, "restart", worker, lena)
    assert (container.status, container.problem) == (Status.STOPPED, Refused.sentence)
    assert history(container)[-1] == ("booting", "stopped")


def test_a_restart_that_is_given_up_after_the_halt_tells_both_halves(
    lena: User, node: Node, worker: Worker, instead: Any
) -> None:
    """The worker stopped it, then the node refused before anybody noted the half-way mark."""
    container = ContainerFactory.create(customer=lena, status=Status.RUNNING, node=node)

    def steps(job: work.Job) -> work.Steps:
        yield from job.node.stop(job.name)
        raise Refused("no more of this")

    instead("restart", steps)
    container = ask_and_wait(container, "restart", worker, lena)
    assert history(container) == [
        ("running", "stopping"),
        ("stopping", "booting"),
        ("booting", "stopped"),
    ]


def test_what_the_steps_say_does_not_count_but_what_the_node_reports(
    container: Container, lena: User, worker: Worker, instead: Any
) -> None:
    def steps(job: work.Job) -> work.Steps:
        yield from job.node.start(job.name)
        raise Refused("an answer that came too late")

    instead("start", steps)
    container = ask_and_wait(container, "start", worker, lena)
    assert (container.status, container.problem) == (Status.RUNNING, "")
    assert last_operation(container).outcome == "done"


def test_a_node_that_claims_success_but_does_not_show_it_is_not_believed(
    container: Container, lena: User, worker: Worker, instead: Any, clock: Clock
) -> None:
    tries = []

    def steps(job: work.Job) -> work.Steps:
        tries.append(job.name)
        yield from ()

    instead("start", steps)
    container = settle(ask_and_wait(container, "start", worker, lena), worker, clock)
    assert container.status == Status.STOPPED
    assert len(tries) == carrying.ATTEMPTS
    assert "reports stopped" in last_operation(container).error_detail


def settle(container: Container, worker: Worker, clock: Clock) -> Container:
    """Let time pass, with its sweeps, until nothing is under way."""
    for _ in range(40):
        if not fresh(container).operation:
            break
        clock.advance(31)
        operations.sweep()
        worker.carry_out_all()
    return fresh(container)


def test_tries_are_counted_and_come_to_an_end(
    container: Container, lena: User, worker: Worker, instead: Any, clock: Clock
) -> None:
    tries = []

    def steps(job: work.Job) -> work.Steps:
        tries.append(clock.now())
        yield from ()
        raise Conflict("busy")

    instead("start", steps)
    container = ask_and_wait(container, "start", worker, lena)
    assert container.status == Status.BOOTING
    assert container.problem == Conflict.sentence
    container = settle(container, worker, clock)
    assert (container.status, container.problem) == (Status.STOPPED, Conflict.sentence)
    assert len(tries) == carrying.ATTEMPTS


def test_a_worker_that_dies_each_time_does_not_do_so_for_ever(
    container: Container, lena: User, worker: Worker, instead: Any, clock: Clock
) -> None:
    deaths = []

    def steps(job: work.Job) -> work.Steps:
        deaths.append(job.name)
        yield from ()
        raise Killed

    instead("start", steps)
    operations.request(container.pk, "start", by=lena)
    for _ in range(carrying.ATTEMPTS):
        with pytest.raises(Killed):
            worker.carry_out_all()
        clock.advance(31)
        operations.sweep()
    worker.carry_out_all()
    assert len(deaths) == carrying.ATTEMPTS
    assert fresh(container).status == Status.STOPPED


def test_a_bug_in_the_steps_leaves_nothing_stuck(
    container: Container, lena: User, worker: Worker, instead: Any, clock: Clock
) -> None:
    def steps(job: work.Job) -> work.Steps:
        yield from ()
        raise ZeroDivisionError("a bug")

    instead("start", steps)
    container = settle(ask_and_wait(container, "start", worker, lena), worker, clock)
    assert container.status == Status.STOPPED
    assert "ZeroDivisionError" in last_operation(container).error_detail


@pytest.mark.parametrize("action", ["start", "stop", "restart", "destroy", "migrate"])
def test_a_node_that_does_not_answer_is_waited_for_and_costs_no_try(
    action: str,
    lena: User,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    clock: Clock,
) -> None:
    status = Container.sources_of(action)[-1]
    container = ContainerFactory.create(customer=lena, status=status, node=node)
    broken(node, unplugged=True)
    container = ask_and_wait(container, action, worker, ada)
    for _ in range(carrying.ATTEMPTS + 2):
        clock.advance(3)
        operations.sweep()
        worker.carry_out_all()
    container = fresh(container)
    assert container.is_transient
    assert container.problem == Unreachable.sentence
    operation = last_operation(container)
    assert operation.is_open
    assert (operation.attempts, operation.held_until) == (0, None)

    broken(node)
    container = settle(container, worker, clock)
    assert (container.is_transient, container.problem) == (False, "")
    assert last_operation(container).outcome == "done"


# --- taking too long -------------------------------------------------------------------------


def test_what_takes_longer_than_its_deadline_is_given_up_and_the_node_is_asked(
    container: Container, lena: User, worker: Worker, instead: Any, clock: Clock, every_step: None
) -> None:
    def steps(job: work.Job) -> work.Steps:
        yield Progress(1)
        clock.advance(by=Container.deadline_of("start"))
        yield Progress(2)
        raise AssertionError("went on after the deadline")

    instead("start", steps)
    container = ask_and_wait(container, "start", worker, lena)
    assert container.status == Status.STOPPED
    assert container.problem == carrying.Overdue.sentence


def test_what_was_done_just_before_the_deadline_counts(
    container: Container, lena: User, worker: Worker, instead: Any, clock: Clock, every_step: None
) -> None:
    def steps(job: work.Job) -> work.Steps:
        yield from job.node.start(job.name)
        clock.advance(by=Container.deadline_of("start"))
        yield Progress(99)

    instead("start", steps)
    container = ask_and_wait(container, "start", worker, lena)
    assert (container.status, container.problem) == (Status.RUNNING, "")


def test_what_was_never_begun_before_its_deadline_is_given_up(
    container: Container, lena: User, worker: Worker, clock: Clock, instead: Any
) -> None:
    def steps(job: work.Job) -> work.Steps:
        yield from ()
        raise Conflict("busy")

    instead("start", steps)
    operations.request(container.pk, "start", by=lena)
    clock.advance(by=Container.deadline_of("start") * 2)
    worker.carry_out_all()
    container = fresh(container)
    assert container.status == Status.STOPPED
    assert container.problem == carrying.Overdue.sentence


@pytest.fixture
def stubborn(lena: User, node: Node) -> Container:
    """Runs, and ignores every gentle stop."""
    container = ContainerFactory.create(
        customer=lena, status=Status.RUNNING, node=node, on_node=False
    )
    simulated(node).seed(spec_of(container), Power.RUNNING, stubborn=True)
    return container


@pytest.fixture
def meanwhile(instead: Any, every_step: None) -> Callable[[str, Callable[[], None]], None]:
    """`meanwhile("stop", act)`: something that happens once while the node is at work."""

    def play(kind: str, act: Callable[[], None]) -> None:
        real = work.STEPS[kind]
        acted: list[bool] = []

        def steps(job: work.Job) -> Iterator[Any]:
            for step in real(job):
                yield step
                if not acted:
                    acted.append(True)
                    act()

        instead(kind, steps)

    return play


def test_force_off_hardens_the_open_operation_instead_of_opening_a_second(
    stubborn: Container,
    lena: User,
    ada: User,
    node: Node,
    worker: Worker,
    clock: Clock,
    meanwhile: Any,
    settings: Any,
) -> None:
    def force() -> None:
        with pytest.raises(NotAllowed):
            operations.request(stubborn.pk, "force_off", by=ada)
        clock.advance(by=settings.STOP_PATIENCE)
        with pytest.raises(NotAllowed):
            operations.request(stubborn.pk, "force_off", by=lena)
        forced = operations.request(stubborn.pk, "force_off", by=ada)
        assert forced == last_operation(stubborn)

    meanwhile("stop", force)
    container = ask_and_wait(stubborn, "stop", worker, lena)
    assert (container.status, container.problem) == (Status.STOPPED, "")
    assert power_of(container) is Power.STOPPED
    assert effects_on(node, of=container)[-1] == "forced"
    assert container.operations.count() == 1
    assert last_operation(container).forced
    assert history(container) == [
        ("running", "stopping"),
        ("stopping", "stopping"),
        ("stopping", "stopped"),
    ]
    assert [change.by for change in container.changes.order_by("pk")] == [lena, ada, None]


def test_force_off_of_a_restart_goes_on_to_boot(
    stubborn: Container,
    lena: User,
    ada: User,
    node: Node,
    worker: Worker,
    clock: Clock,
    meanwhile: Any,
    settings: Any,
) -> None:
    def force() -> None:
        clock.advance(by=settings.STOP_PATIENCE)
        operations.request(stubborn.pk, "force_off", by=ada)

    meanwhile("restart", force)
    container = ask_and_wait(stubborn, "restart", worker, lena)
    assert container.status == Status.RUNNING
    assert effects_on(node, of=container)[-2:] == ["forced", "started"]


def test_force_off_while_nobody_is_at_work_is_there_when_somebody_is(
    stubborn: Container,
    lena: User,
    ada: User,
    node: Node,
    worker: Worker,
    clock: Clock,
    settings: Any,
) -> None:
    operations.request(stubborn.pk, "stop", by=lena)
    worker.lose_everything()
    clock.advance(by=settings.STOP_PATIENCE)
    operations.request(stubborn.pk, "force_off", by=ada)
    worker.carry_out_all()
    assert fresh(stubborn).status == Status.STOPPED
    assert effects_on(node, of=stubborn)[-1] == "forced"


@pytest.mark.parametrize(
    ("action", "ends"), [("stop", "stopped"), ("restart", "running"), ("migrate", "running")]
)
def test_the_plug_is_pulled_by_itself_where_stopping_takes_for_ever(
    action: str,
    ends: str,
    stubborn: Container,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    clock: Clock,
    meanwhile: Any,
    settings: Any,
) -> None:
    meanwhile(action, lambda: clock.advance(by=settings.STOP_LIMIT + timedelta(seconds=1)))
    container = ask_and_wait(stubborn, action, worker, ada)
    assert container.status == ends
    assert "forced" in effects_on(node, of=container)


# --- creation --------------------------------------------------------------------------------


@pytest.fixture
def ordered(lena: User, node: Node) -> Container:
    return ContainerFactory.create(customer=lena, status=Status.ORDERED)


@pytest.mark.parametrize("fault", ["failing", "full"])
def test_a_failed_creation_goes_back_to_ordered_and_gives_the_room_back(
    fault: str, ordered: Container, node: Node, worker: Worker
) -> None:
    broken(node, **{fault: True})
    operations.request(ordered.pk, "create", by=None)
    assert room_on(node).containers_here == 1
    worker.carry_out_all()
    container = fresh(ordered)
    assert (container.status, container.node) == (Status.ORDERED, None)
    assert container.problem
    assert room_on(node).containers_here == 0
    assert simulated(node).instance(container.instance_name) is None


def test_a_failed_creation_is_tried_again_with_growing_pauses_and_then_waits(
    ordered: Container, node: Node, worker: Worker, clock: Clock, settings: Any
) -> None:
    settings.CREATE_PAUSES = [10.0, 60.0]
    broken(node, failing=True)
    operations.request(ordered.pk, "create", by=None)
    worker.carry_out_all()
    for pause in settings.CREATE_PAUSES:
        waits = fresh(ordered).create_again_at
        assert waits is not None
        assert abs((waits - clock.now()).total_seconds() - pause) < 2
        clock.advance(pause / 2)
        operations.sweep()
        assert worker.waiting == [], "its time has not come"
        clock.advance(pause / 2 + 1)
        operations.sweep()
        worker.carry_out_all()
        assert fresh(ordered).status == Status.ORDERED

    assert fresh(ordered).create_again_at is None
    assert ordered.operations.count() == 3
    clock.advance(100_000)
    operations.sweep()
    assert worker.waiting == []


def test_what_was_paid_and_given_up_waits_in_a_list_and_can_be_tried_again(
    node: Node, worker: Worker, settings: Any
) -> None:
    from orders.models import Order

    settings.CREATE_PAUSES = []
    order = OrderFactory.create(status=Order.Status.PAID)
    broken(node, failing=True)
    operations.request(order.container_id, "create", by=None)
    assert not Order.objects.paid_not_created().exists()
    worker.carry_out_all()
    assert list(Order.objects.paid_not_created()) == [order]

    broken(node)
    operations.try_again(order.container_id)
    operations.sweep()
    worker.carry_out_all()
    assert fresh(order.container).status == Status.STOPPED
    assert not Order.objects.paid_not_created().exists()


def test_a_creation_that_works_out_later_forgets_its_failures(
    ordered: Container, node: Node, worker: Worker, clock: Clock
) -> None:
    broken(node, failing=True)
    operations.request(ordered.pk, "create", by=None)
    worker.carry_out_all()
    broken(node)
    clock.advance(11)
    operations.sweep()
    worker.carry_out_all()
    container = fresh(ordered)
    assert (container.status, container.problem) == (Status.STOPPED, "")
    assert (container.create_tries, container.create_again_at) == (0, None)
    assert effects_on(node, of=container) == ["created"]


def test_where_no_node_has_room_it_waits_says_so_and_is_tried_again(
    ordered: Container, node: Node, worker: Worker, clock: Clock, settings: Any
) -> None:
    Node.objects.update(in_service=False)
    with pytest.raises(NoRoomAnywhere):
        operations.request(ordered.pk, "create", by=None)
    container = fresh(ordered)
    assert (container.status, container.node) == (Status.ORDERED, None)
    assert container.problem == NoRoomAnywhere.sentence
    assert not Operation.objects.exists()

    clock.advance(settings.ROOM_PAUSE + 1)
    operations.sweep()
    waits = fresh(ordered).create_again_at
    assert waits is not None
    assert waits > clock.now(), "still none: it waits once more"
    assert worker.waiting == []

    Node.objects.update(in_service=True)
    clock.advance(settings.ROOM_PAUSE + 1)
    operations.sweep()
    worker.carry_out_all()
    assert fresh(ordered).status == Status.STOPPED


def test_what_left_the_list_is_not_created(
    ordered: Container, worker: Worker, clock: Clock
) -> None:
    Container.objects.update(withdrawn_at=clock.now(), create_again_at=clock.now())
    clock.advance(1)
    operations.sweep()
    assert worker.waiting == []
    assert fresh(ordered).status == Status.ORDERED
    with pytest.raises(NotAllowed):
        operations.request(ordered.pk, "create", by=None)


def test_others_hear_of_a_creation_inside_its_transaction(
    ordered: Container, node: Node, worker: Worker
) -> None:
    """What a listener cannot do undoes the record, and the worker tries again later."""

    def cannot(**_: Any) -> None:
        raise RuntimeError("the order cannot be found")

    outcomes.container_created.connect(cannot, weak=False)
    try:
        operations.request(ordered.pk, "create", by=None)
        with pytest.raises(RuntimeError):
            worker.carry_out_all()
    finally:
        outcomes.container_created.disconnect(cannot)
    assert fresh(ordered).status == Status.CREATING
    assert last_operation(ordered).is_open


# --- moving ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "did"),
    [
        ("stopped", ["moved_in", "moved_out"]),
        ("running", ["stopped", "moved_in", "moved_out", "started"]),
    ],
)
def test_a_container_moves_and_is_what_it_was(
    status: str,
    did: list[str],
    lena: User,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
) -> None:
    container = ContainerFactory.create(customer=lena, status=status, node=node)
    before = power_of(container)
    effects = effects_on(node, other_node, of=container)
    operation = operations.request(container.pk, "migrate", by=ada)
    assert operation is not None
    assert operation.target == other_node
    assert fresh(container).status == Status.MIGRATING
    worker.carry_out_all()

    container = fresh(container)
    assert (container.status, container.node, container.problem) == (status, other_node, "")
    assert power_of(container) == before
    assert simulated(node).instance(container.instance_name) is None
    assert effects_on(node, other_node, of=container)[len(effects) :] == did
    assert history(container) == [(status, "migrating"), ("migrating", status)]
    seen = simulated(other_node).instance(container.instance_name)
    assert seen is not None
    assert container.address == seen.address


def test_the_files_move_along(
    container: Container, ada: User, node: Node, other_node: Node, worker: Worker
) -> None:
    from io import BytesIO

    name = container.instance_name
    simulated(node).write_file(name, "/root/kept", BytesIO(b"dear"))
    ask_and_wait(container, "migrate", worker, ada)
    assert b"".join(simulated(other_node).read_file(name, "/root/kept")) == b"dear"


@pytest.mark.parametrize("status", ["stopped", "running"])
@pytest.mark.parametrize("fault", ["failing", "full"])
def test_a_move_that_the_target_refuses_ends_on_the_old_node_as_it_was(
    fault: str,
    status: str,
    lena: User,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
) -> None:
    container = ContainerFactory.create(customer=lena, status=status, node=node)
    before = power_of(container)
    broken(other_node, **{fault: True})
    container = ask_and_wait(container, "migrate", worker, ada)
    assert (container.status, container.node) == (status, node)
    assert power_of(container) == before
    assert container.problem
    assert simulated(other_node).instance(container.instance_name) is None
    assert last_operation(container).outcome == "failed"


def test_a_container_that_moved_but_does_not_boot_there_is_stopped_there_and_says_why(
    lena: User, ada: User, node: Node, other_node: Node, worker: Worker, instead: Any
) -> None:
    container = ContainerFactory.create(customer=lena, status=Status.RUNNING, node=node)

    def steps(job: work.Job) -> work.Steps:
        yield from job.node.stop(job.name)
        assert job.target is not None
        yield from job.node.move(job.name, job.target)
        raise Refused("no boot here")

    instead("migrate", steps)
    container = ask_and_wait(container, "migrate", worker, ada)
    assert (container.status, container.node) == (Status.STOPPED, other_node)
    assert container.problem == Refused.sentence


def test_a_container_that_moved_is_booted_there_even_if_that_takes_a_second_try(
    lena: User,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    clock: Clock,
    instead: Any,
) -> None:
    container = ContainerFactory.create(customer=lena, status=Status.RUNNING, node=node)
    real = work.STEPS["migrate"]

    def steps(job: work.Job) -> work.Steps:
        instead("migrate", real)
        yield from job.node.stop(job.name)
        assert job.target is not None
        yield from job.node.move(job.name, job.target)
        raise Conflict("busy, ask again")

    instead("migrate", steps)
    container = settle(ask_and_wait(container, "migrate", worker, ada), worker, clock)
    assert (container.status, container.node) == (Status.RUNNING, other_node)
    assert container.problem == ""


def test_a_move_whose_target_stays_away_is_given_up_at_its_deadline(
    lena: User, ada: User, node: Node, other_node: Node, worker: Worker, clock: Clock
) -> None:
    container = ContainerFactory.create(customer=lena, status=Status.RUNNING, node=node)
    broken(other_node, unplugged=True)
    container = ask_and_wait(container, "migrate", worker, ada)
    assert container.status == Status.MIGRATING
    clock.advance(by=Container.deadline_of("migrate"))
    operations.sweep()
    worker.carry_out_all()
    container = fresh(container)
    assert (container.status, container.node) == (Status.RUNNING, node)
    assert container.problem == carrying.Overdue.sentence
    assert power_of(container) is Power.RUNNING


def test_an_administrator_may_choose_the_target(
    container: Container, ada: User, other_node: Node
) -> None:
    from tests.cast import NodeFactory

    chosen = NodeFactory.create(memory_mb=2048)
    operation = operations.request(container.pk, "migrate", by=ada, target=chosen.pk)
    assert operation is not None
    assert operation.target == chosen


@pytest.mark.parametrize("why", ["off-line", "out of service", "too small", "where it is"])
def test_a_target_that_cannot_take_it_is_refused_and_nothing_changes(
    why: str, container: Container, ada: User, node: Node, other_node: Node
) -> None:
    changes: dict[str, dict[str, Any]] = {
        "off-line": {"online": False},
        "out of service": {"in_service": False},
        "too small": {"memory_mb": 100},
        "where it is": {},
    }
    Node.objects.filter(pk=other_node.pk).update(**changes[why])
    target = node if why == "where it is" else other_node
    with pytest.raises(NoRoomAnywhere):
        operations.request(container.pk, "migrate", by=ada, target=target.pk)
    container = fresh(container)
    assert (container.status, container.problem) == (Status.STOPPED, "")
    assert not Operation.objects.exists()
