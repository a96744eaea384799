"""The past of one container, word by word. The only code that makes history up.

Each status is reached by a transition of the table, so that no past can say what could never
have happened. Times and texts are those that the doors of `containers.operations` and
`orders.checkout` and the watcher write.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from containers.drivers import DriverError, NoRoom, Refused
from containers.models import Container, Node, Operation, StatusChange
from containers.operations.outcomes import at_rest
from containers.placement import NO_ROOM
from containers.reports import BECAUSE, CONNECTION_BROKEN
from containers.statuses import Status
from orders.models import Order
from panel.demo.cast import SYSTEMS, Past
from panel.demo.purchase import Purchase
from panel.demo.world import World
from panel.models import User

# Seconds that work usually takes, and what it ends in where it does not succeed.
TOOK = {"create": 6.2, "start": 2.1, "stop": 2.6, "restart": 4.8, "migrate": 9.4, "destroy": 1.5}
FAILURES: dict[str, DriverError] = {
    "create": NoRoom("Failed to write: no space left in storage pool 'default'"),
    "start": Refused("Failed to run: forkstart: cgroup2 controller 'memory' is not available"),
    "restart": Refused("Failed to run: forkstart: cgroup2 controller 'memory' is not available"),
    "migrate": Refused("Failed migration: rsync: connection unexpectedly closed (error 12)"),
}
# Seconds between the tries of a creation: the demo fails more often than some settings allow.
PAUSES = (10, 60, 300, 1800)
# How long a repair that is under way has been going on.
REPAIRS_SINCE = timedelta(minutes=40)


class Story:
    """One container and its order. Making it orders the container; `tell` does the rest.

    `open` is the work under way, `rested` the status that it was in last while its node was
    there to tell.
    """

    def __init__(self, past: Past, world: World) -> None:
        self.past, self.world = past, world
        self.customer, plan = world.people[past.customer], world.plans[past.plan]
        self.at = world.now - timedelta(days=past.days)
        self.open: Operation | None = None
        self.rested: str = Status.ORDERED
        self.container = Container.objects.create(
            customer=self.customer,
            name=past.name,
            plan=plan.name,
            cpus=plan.cpus,
            memory_mb=plan.memory_mb,
            disk_gb=plan.disk_gb,
            system=past.system,
            image=SYSTEMS[past.system],
            ordered_at=self.at,
        )
        self.purchase = Purchase(world, self.container, plan)
        self._change("", by=self.customer, because=f"order {self.purchase.order.pk}")

    def tell(self) -> None:
        """All that happened, up to now."""
        words = self.past.words.split()
        for number, word in enumerate(words):
            self.at = self._when(words[number - 1] if number else "", words[number:])
            self._happens(word)
        self.purchase.order.save()
        self.container.save()

    # --- when ------------------------------------------------------------------------------

    def _when(self, before: str, words: list[str]) -> datetime:
        """People follow an order, a failure or a crash closely; the rest spreads until today."""
        word, world = words[0], self.world
        end = world.nodes[self.past.node].online_since if "lost" in words else world.now
        if word in {"lost", "wait"}:
            return end
        if word.endswith("…"):
            return self.at if word == "create…" else end - timedelta(seconds=20)
        if word.startswith("create"):
            pause = PAUSES[self.container.create_tries - 1] if before == "create!" else 0
            return self.at + timedelta(seconds=pause)
        if word in {"pay", "decline", "cancel"}:
            return self.at + world.minutes(1, 2)
        if word in {"hurry", "refund"} or before in {
            "create",
            "hurry",
            "crash",
            "start!",
            "restart!",
        }:
            return self.at + world.minutes(2, 15)
        if words == ["repair"]:
            return end - REPAIRS_SINCE
        left = end - timedelta(hours=1) - self.at
        return self.at + left / len(words) * world.dice.uniform(0.5, 1)

    # --- what ------------------------------------------------------------------------------

    def _happens(self, word: str) -> None:
        action = word.rstrip("!…")
        if action in {"pay", "decline"}:
            getattr(self.purchase, action)(self.at)
        elif action in {"cancel", "refund"}:
            getattr(self.purchase, action)(self.at)
            self.container.withdrawn_at = self.at
        elif action == "wait":
            self.container.problem = NO_ROOM
            self.container.create_again_at = self.at
        elif action == "crash":
            self._seen("found_stopped")
        elif action == "lost":
            self._seen("lost")
            self.container.problem = CONNECTION_BROKEN.format(node=self.container.node)
        elif action == "repair":
            self._asked("repair", by=self.customer)
        else:
            operation = self._begun("create" if action == "hurry" else action)
            if word.endswith("…"):
                self.open = operation
            else:
                self._ended(operation, FAILURES[operation.kind] if word.endswith("!") else None)

    def _seen(self, name: str) -> None:
        """The watcher records what its node reports."""
        was = self.container.status
        getattr(self.container, name)()
        self._change(was, because=BECAUSE[name].format(node=self.container.node))

    def _asked(
        self, action: str, operation: Operation | None = None, *, by: User | None, because: str = ""
    ) -> None:
        """Somebody, or the panel itself, asks for an action."""
        was = self.container.status
        getattr(self.container, action)()
        self.container.problem = ""
        label = Container.actions()[action].label
        self._change(was, operation, by=by, because=because or label)

    def _begun(self, kind: str) -> Operation:
        container, was = self.container, self.container.status
        by, because = self._who_asks(kind)
        if kind == "create":
            container.node = self.world.nodes[self.past.node]
        operation = Operation(
            container=container,
            kind=kind,
            node=container.node,
            target=self._other_node() if kind == "migrate" else None,
            was=was,
            asked_by=by,
            because=because,
            asked_at=self.at,
            not_before=self.at,
            woken_at=self.at,
            deadline_at=self.at + Container.deadline_of(kind),
        )
        self.world.operations.append(operation)
        self._asked(kind, operation, by=by, because=because)
        operation.during = container.status
        return operation

    def _who_asks(self, kind: str) -> tuple[User | None, str]:
        """The panel asks for what was paid, customers for what they may, an administrator for the
        rest."""
        if kind == "create" and self.purchase.order.status == Order.Status.PAID:
            tried = self.container.create_tries
            return None, "tried again" if tried else f"{self.purchase.order} was paid"
        theirs = {action.name for action in self.container.actions_for(self.customer)}
        return self.customer if kind in theirs else self.world.people["admin"], ""

    def _other_node(self) -> Node:
        others = (node for node in self.world.nodes.values() if node != self.container.node)
        return next(node for node in others if node.online)

    def _ended(self, operation: Operation, failure: DriverError | None) -> None:
        container, ok = self.container, failure is None
        began = self.at
        took = TOOK[operation.kind] * self.world.dice.uniform(0.8, 1.4)
        if operation.kind == "restart":
            self.at = began + timedelta(seconds=took * 0.55)
            was = container.status
            container.halted_to_boot()
            operation.during = container.status
            self._change(was, operation, because="restarting")
        self.at = began + timedelta(seconds=took)
        boots = operation.kind in {"start", "restart"} and ok
        stays = operation.kind == "migrate" and operation.was == Status.RUNNING
        was = container.status
        outcome = getattr(container, container.outcome(ok=ok).name)
        outcome(now=at_rest(operation.was, running=boots or stays))
        container.problem = failure.sentence if failure else ""
        operation.outcome = Operation.Outcome.DONE if ok else Operation.Outcome.FAILED
        operation.started_at, operation.ended_at, operation.attempts = began, self.at, 1
        operation.progress = 100 if ok else None
        if failure:
            operation.error, operation.error_detail = failure.sentence, failure.detail
        self._change(was, operation, because=container.problem or f"took {operation.took}")
        if operation.kind == "create":
            container.create_tries = 0 if ok else container.create_tries + 1
            if ok:
                self.purchase.fulfil(self.at)
        if container.is_nowhere:
            container.node = None
        elif ok and operation.target:
            container.node = operation.target

    def _change(
        self,
        was: str,
        operation: Operation | None = None,
        *,
        by: User | None = None,
        because: str = "",
    ) -> None:
        if self.container.status != Status.OFFLINE:
            self.rested = self.container.status
        self.container.status_since = self.at
        self.container.revision += 1
        self.world.changes.append(
            StatusChange(
                container=self.container,
                from_status=was,
                to_status=self.container.status,
                at=self.at,
                by=by,
                because=because,
                operation=operation,
            )
        )
