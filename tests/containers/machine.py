"""A small panel as a state machine: real models, doors and watcher, on simulated nodes.

Its rules are what people, gateways, nodes and processes may do at any time. After each step,
and once all has settled, it is audited as a soak is.
"""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar

from django.db import connection, transaction
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
)
from payments import PaymentStatus

from containers import observe, operations
from containers.drivers import Conflict, Refused, Unreachable
from containers.drivers.simulated import Faults
from containers.models import Container, Node, Operation
from containers.operations import NotAllowed
from containers.operations.work import STEPS
from containers.placement import NoNodeFits
from containers.rejoining import rejoin
from containers.reports import Look
from containers.statuses import TRANSIENT, Status
from orders import checkout
from orders.checkout import Refused as RefusedByShop
from orders.models import Order, Payment, Plan, System
from panel.models import User
from tests.cast import (
    PlanFactory,
    StaffFactory,
    SystemFactory,
    UserFactory,
    set_pace,
)
from tests.conftest import Clock, Worker
from tests.containers.acts import Killed
from tests.containers.machine_nodes import PACE, Nodes, numbers, some
from tests.containers.trouble import Trouble, killed, killed_at_write
from tests.soak.audit import at_any_moment, once_settled
from tests.tampering import simulated

MOST_CONTAINERS = 4
SETTLING = 60

# What happens in the middle of work: a method of the machine.
bad = st.sampled_from(
    [
        "worker_is_killed",
        "node_does_not_answer",
        "node_refuses",
        "node_is_busy",
        "node_answers_oddly",
        "node_is_unplugged",
        "somebody_forces_it_off",
        "other_processes_work",
        "worker_sleeps_through_its_lease",
        "node_is_off_line_and_back",
    ]
)
# At which sign of a driver that happens.
early = st.sampled_from(range(8))
# At which write a process dies; mostly at none.
death = st.sampled_from([None] * 6 + [0, 1, 2, 3, 5, 8])


class Panel(Nodes):
    """People, nodes and the panel's processes. `worker` and `clock` are those of the test."""

    worker: ClassVar[Worker]
    clock: ClassVar[Clock]

    @initialize()
    def begin(self) -> None:
        self.trouble: Trouble | None = None
        self.looks: list[tuple[Node, Look]] = []
        self.savepoint = transaction.savepoint()
        system: System = SystemFactory.create()
        self.plan: Plan = PlanFactory.create(systems=[system])
        self.system = system
        self.customers: list[User] = [UserFactory.create(username=n) for n in ("lena", "omar")]
        self.lena = self.customers[0]
        self.ada: User = UserFactory.create(username="ada", is_administrator=True)
        self.sten: User = StaffFactory.create(username="sten")
        for _ in range(2):
            self.another_node(pace=0)
        self._begin_life()
        self.back_up()

    def teardown(self) -> None:
        if not hasattr(self, "savepoint"):
            return
        try:
            if hasattr(self, "backup"):  # else what has failed is `begin`, and is to be seen
                self._end_well()
        finally:
            # Or else an error of the database would be hidden by that of the next statement.
            transaction.set_rollback(False)
            transaction.savepoint_rollback(self.savepoint)
            connection.run_on_commit.clear()
            self.worker.lose_everything()

    def _end_well(self) -> None:
        self._settle()
        truth = {
            node.name: {one.name: one.power for one in simulated(node).instances().values()}
            for node in self.nodes
        }
        findings = once_settled(truth)
        assert not findings, findings
        half = [name for node in self.nodes for name in simulated(node).unfinished()]
        assert not half, half

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "savepoint"):
            findings = at_any_moment()
            assert not findings, findings

    # --- what people do --------------------------------------------------------------------

    @precondition(lambda self: Container.objects.count() < MOST_CONTAINERS)
    @rule(who=some, dies=death)
    def order(self, who: int, dies: int | None) -> None:
        customer = self.customers[who % 2]
        with killed_at_write(dies):
            self._place(customer)

    @rule(which=some, times=st.integers(0, 2), dies=death)
    def pay(self, which: int, times: int, dies: int | None) -> None:
        order = self._one(Order, which)
        with suppress(RefusedByShop), killed_at_write(dies):
            payment = checkout.open_payment(order, order.customer)
            for _ in range(times):
                payment.change_status(PaymentStatus.CONFIRMED)

    @rule(
        which=some,
        status=st.sampled_from([PaymentStatus.CONFIRMED, PaymentStatus.REJECTED]),
        dies=death,
    )
    def a_notice_comes_late_or_again(self, which: int, status: str, dies: int | None) -> None:
        with killed_at_write(dies):
            self._one(Payment, which).change_status(status)

    @rule(which=some, name=st.sampled_from(list(checkout.BUTTONS)), dies=death)
    def press_on_an_order(self, which: int, name: str, dies: int | None) -> None:
        order = self._one(Order, which)
        by = order.customer if name == "cancel" else self.sten
        with suppress(RefusedByShop), killed_at_write(dies):
            checkout.press(order, name, by)

    @precondition(lambda self: Payment.objects.filter(is_surplus=True).exists())
    @rule(which=some)
    def give_back(self, which: int) -> None:
        surplus = Payment.objects.filter(is_surplus=True)
        with suppress(RefusedByShop):
            checkout.give_back(surplus[which % len(surplus)], self.sten)

    @rule(which=some, who=some, choice=some, clicks=st.integers(1, 2), dies=death)
    def press(self, which: int, who: int, choice: int, clicks: int, dies: int | None) -> None:
        with killed_at_write(dies):
            self._press(which, who, choice, clicks)

    @rule(which=some, who=some, choice=some, at=early, what=bad)
    def press_in_bad_times(self, which: int, who: int, choice: int, at: int, what: str) -> None:
        """Something happens while the work that somebody asked for is under way."""
        self._press(which, who, choice, clicks=1)
        if self.worker.waiting:
            self._deliver(-1, trouble=Trouble(at, getattr(self, what)))

    # --- what the processes do -------------------------------------------------------------

    @precondition(lambda self: self.worker.waiting)
    @rule(which=some, again=st.booleans(), dies=death)
    def a_wake_up_arrives(self, which: int, again: bool, dies: int | None) -> None:
        with killed_at_write(dies):
            self._deliver(which, again=again)

    @precondition(lambda self: self.worker.waiting)
    @rule(which=some, at=early, what=bad)
    def a_wake_up_arrives_in_bad_times(self, which: int, at: int, what: str) -> None:
        self._deliver(which, trouble=Trouble(at, getattr(self, what)))

    @precondition(lambda self: self.worker.waiting)
    @rule()
    def a_wake_up_gets_lost(self) -> None:
        self.worker.lose_one()

    @rule(dies=death)
    def sweep(self, dies: int | None) -> None:
        with killed_at_write(dies):
            operations.sweep()

    @rule(dies=death)
    def look(self, dies: int | None) -> None:
        with killed_at_write(dies):
            self._look_around()

    @rule(which=some)
    def ask_a_node(self, which: int) -> None:
        """Its answer is on the way."""
        node = self._one(Node, which)
        self.looks.append((node, observe.look_at(node)))

    @precondition(lambda self: self.looks)
    @rule()
    def an_answer_arrives_late(self) -> None:
        self._record(*self.looks.pop(0))

    @rule()
    def back_up(self) -> None:
        self.backup, self.backed_up = transaction.savepoint(), self.nodes

    @precondition(lambda self: self.backed_up == self.nodes)
    @rule()
    def restore(self) -> None:
        """The database goes back in time; the nodes do not, and the processes are others."""
        transaction.savepoint_rollback(self.backup)
        self.worker.lose_everything()
        self.looks.clear()
        rejoin(Order, Payment)

    @rule(who=some, which=some, choice=some, orders=st.booleans())
    def something_is_done_and_the_database_forgets_it(
        self, who: int, which: int, choice: int, orders: bool
    ) -> None:
        self.back_up()
        if orders and Container.objects.count() < MOST_CONTAINERS:
            customer = self.customers[who % 2]
            payment = checkout.open_payment(self._place(customer), customer)
            payment.change_status(PaymentStatus.CONFIRMED)
        else:
            self._press(which, who, choice, clicks=1)
        self.worker.carry_out_all()
        self.restore()

    @precondition(lambda self: Container.objects.count() < MOST_CONTAINERS)
    @rule(who=some)
    def a_creation_is_forgotten_where_its_node_is_silent(self, who: int) -> None:
        order = self._place(self.customers[who % 2])
        self.back_up()
        operations.refusal(order.container_id, "create", by=self.ada)
        self.worker.carry_out_all()
        node = Container.objects.get(pk=order.container_id).node
        self.restore()
        if node is not None:
            simulated(node).set_faults(Faults(unplugged=True))
        operations.refusal(order.container_id, "create", by=self.ada)
        self.worker.carry_out_all()

    @rule(seconds=st.sampled_from([0.5, 3, 11, 31, 400]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    # --- how it is done --------------------------------------------------------------------

    def _begin_life(self) -> None:
        """Each customer has a container already, one of them unpaid: more happens to those."""
        lena, omar = self.customers
        order = self._place(lena)
        checkout.open_payment(order, lena).change_status(PaymentStatus.CONFIRMED)
        self.worker.carry_out_all()
        operations.request(order.container_id, "start", by=lena)
        unpaid = self._place(omar)
        checkout.open_payment(unpaid, omar)
        operations.request(unpaid.container_id, "create", by=self.ada)
        self.worker.carry_out_all()
        for node in self.nodes:
            set_pace(node, PACE)

    def _place(self, customer: User) -> Order:
        return checkout.place_order(
            customer=customer,
            by=customer,
            plan=self.plan,
            system=self.system,
            name=f"web-{next(numbers)}",
        )

    def _press(self, which: int, who: int, choice: int, clicks: int) -> None:
        container = self._one(Container, which)
        person = [self.ada, self.ada, container.customer, self.sten][who % 4]
        buttons = container.actions_for(person) or list(Container.actions().values())
        action = buttons[choice % len(buttons)].name
        for _ in range(clicks):
            with suppress(NotAllowed, NoNodeFits):
                operations.request(container.pk, action, by=person)

    def _deliver(self, which: int, *, again: bool = False, trouble: Trouble | None = None) -> None:
        """Carry out a task that waits; with `again` it stays in the queue, and comes twice."""
        place = which % len(self.worker.waiting)
        chosen = self.worker.waiting[place]
        if not again:
            self.worker.lose_one(place)
        self.trouble = trouble
        with killed():
            operations.carry_out(chosen)
        self.trouble = None

    def _record(self, node: Node, look: Look) -> None:
        with suppress(Node.DoesNotExist):  # it was deleted while its answer was on the way
            node.refresh_from_db()
        if look.error:
            observe.missed(node, look.error)
        else:
            observe.record_looks({node: look})
            observe._note_answers({node: look})

    def _break_all(self, faults: Faults) -> None:
        for node in self.nodes:
            simulated(node).set_faults(faults)

    # --- what may happen in the middle of work: named in `bad` -------------------------------

    def worker_is_killed(self) -> None:
        raise Killed

    def node_does_not_answer(self) -> None:
        raise Unreachable("no answer in time")

    def node_refuses(self) -> None:
        raise Refused("no")

    def node_is_busy(self) -> None:
        raise Conflict("busy")

    def node_answers_oddly(self) -> None:
        raise KeyError("status")

    def node_is_unplugged(self) -> None:
        self._break_all(Faults(unplugged=True))

    def somebody_forces_it_off(self) -> None:
        Operation.objects.open().filter(during=Status.STOPPING).update(forced=True)

    def other_processes_work(self) -> None:
        mine, self.trouble = self.trouble, None
        operations.sweep()
        for operation_id in list(self.worker.waiting):
            operations.carry_out(operation_id)
        self._look_around()
        self.trouble = mine

    def worker_sleeps_through_its_lease(self) -> None:
        self.clock.advance(30)
        self.other_processes_work()

    def node_is_off_line_and_back(self) -> None:
        """Everybody knows but the worker."""
        self._break_all(Faults(unplugged=True))
        for _ in range(3):
            self._look_around()
        self._break_all(Faults())

    # --- how it is done --------------------------------------------------------------------

    def _look_around(self) -> None:
        for node in Node.objects.all():
            self._record(node, observe.look_at(node))

    def _settle(self) -> None:
        """All is whole again, and time passes; staff look after what was given up."""
        self.trouble, self.looks = None, []
        self._mend_all()
        self._come_to_an_end()
        for _ in range(SETTLING):
            self._look_around()
            self._settle_differences()
            operations.sweep()
            self.worker.carry_out_all()
            for order in Order.objects.paid_not_created():
                with suppress(RefusedByShop):
                    checkout.try_again(order, self.sten)
            self.clock.advance(31)
            moving = Container.objects.filter(status__in=[*TRANSIENT, Status.OFFLINE])
            waiting = Container.objects.filter(create_again_at__isnull=False)
            if not (moving.filter(missing=False).exists() or waiting.exists()):
                break
        self._look_after_them()
        self._look_around()
        self._give_names_back()
        self._look_around()
        self._delete_what_nobody_wants()
        self._look_around()

    def _come_to_an_end(self) -> None:
        """Where nodes answer all work has an end, though they cannot tell; then they can again."""
        if not self._untold():
            return
        for _ in range(4):
            self._look_around()
            operations.sweep()
            self.worker.carry_out_all()
            self.clock.advance(by=max(map(Container.deadline_of, STEPS)))
        still = Operation.objects.open()
        assert not still, [(each.kind, each.attempts, each.error_detail) for each in still]
        self._look_after_them()
