"""The nodes of the small panel: what happens on them by itself and by hand, and how administrators
put right what differs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any

from django.db.models import ProtectedError
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from containers import inventory, operations, settling
from containers.differences import ADOPT, Difference, differences_on
from containers.drivers import DriverError, Power, Refused, Unreachable
from containers.drivers.simulated import Faults
from containers.drivers.simulated.store import write_config
from containers.models import Action, Container, Node
from containers.settling import NotPossible
from containers.views.differences import DOORS
from panel.models import User
from tests.cast import IMAGE, NodeFactory
from tests.tampering import Tampered, simulated

MOST_NODES = 3
PACE = 0.5

some = st.sampled_from(range(12))
fault = st.sampled_from(["", "", "", "", "unplugged", "hanging", "slow", "failing", "full"])
# Folders outlive the example, and names are given once: no two examples share one.
numbers = count()


class Nodes(RuleBasedStateMachine):
    """The nodes, and `ada`, who administers them. `lena` is who gets what she adopts."""

    ada: User
    lena: User

    @property
    def nodes(self) -> list[Node]:
        return list(Node.objects.all())

    def another_node(self, pace: float = PACE) -> None:
        NodeFactory.create(name=f"n{next(numbers)}", memory_mb=3072, pace=pace)

    # --- what happens by itself ------------------------------------------------------------

    @rule(which=some, what=fault)
    def a_node_breaks_or_is_mended(self, which: int, what: str) -> None:
        faults = Faults(**{what: True}) if what else Faults()
        simulated(self._one(Node, which)).set_faults(faults)

    @rule(which=some, runs=st.booleans())
    def it_stops_or_starts_by_itself(self, which: int, runs: bool) -> None:
        container = self._one(Container, which)
        if container.node is None:
            return
        with suppress(Refused, Unreachable):
            power = Power.RUNNING if runs else Power.STOPPED
            simulated(container.node).power(container.instance_name, power)

    @rule(which=some, power=st.sampled_from([Power.BUSY, Power.ERROR]))
    def its_node_cannot_tell(self, which: int, power: Power) -> None:
        """For a while: until somebody there looks after it."""
        container = self._one(Container, which)
        if container.node is None:
            return
        with suppress(Refused, Unreachable):
            simulated(container.node).power(container.instance_name, power)

    # --- what is done by hand on a node ----------------------------------------------------

    @precondition(lambda self: any(len(here) > 1 for here in self._neighbours()))
    @rule(which=some)
    def two_are_mixed_up_on_a_node(self, which: int) -> None:
        """Each is called as the other was: neither is taken for it."""
        here = max(self._neighbours(), key=len)
        one, two = here[which % len(here)], here[which % len(here) - 1]
        node = one.node
        assert node is not None
        for name, to in (
            (one.instance_name, "aside"),
            (two.instance_name, one.instance_name),
            ("aside", two.instance_name),
        ):
            simulated(node).give_name(name, to)

    @rule(which=some)
    def it_is_paused(self, which: int) -> None:
        """It hears nothing, until its plug is pulled."""
        container = self._one(Container, which)
        if container.node is None:
            return
        store = simulated(container.node)._node
        with suppress(FileNotFoundError):
            config = replace(store.config(container.instance_name), stubborn=True)
            write_config(store.instances / container.instance_name, config)

    @rule(which=some)
    def it_is_deleted_by_hand(self, which: int) -> None:
        container = self._one(Container, which)
        if container.node is not None:
            simulated(container.node).lose(container.instance_name)

    @rule(which=some, is_there=st.booleans())
    def an_image_comes_or_goes(self, which: int, is_there: bool) -> None:
        node = self._one(Node, which)
        self._give_images(node, [IMAGE] if is_there else [])
        self._take_stock(node)

    # --- what administrators do with nodes -------------------------------------------------

    @rule(which=some, takes=st.booleans())
    def a_node_goes_out_of_service_or_comes_back(self, which: int, takes: bool) -> None:
        Node.objects.filter(pk=self._one(Node, which).pk).update(in_service=takes)

    @rule(which=some)
    def a_node_is_evacuated(self, which: int) -> None:
        node = self._one(Node, which)
        Node.objects.filter(pk=node.pk).update(in_service=False)
        for container in node.containers.all():
            operations.refusal(container.pk, "migrate", by=self.ada)

    @precondition(lambda self: Node.objects.count() < MOST_NODES)
    @rule()
    def a_node_is_added(self) -> None:
        self.another_node()

    @rule(which=some, again=st.booleans())
    def a_node_is_removed(self, which: int, again: bool) -> None:
        """Where nothing was ever done on it; it may be added once more."""
        node = self._one(Node, which)
        with suppress(ProtectedError):
            node.delete()
            if again:
                NodeFactory.create(name=node.name, memory_mb=3072, pace=PACE)

    @rule(which=some)
    def somebody_asks_what_a_node_has(self, which: int) -> None:
        self._take_stock(self._one(Node, which))

    @precondition(lambda self: any(each.actions for _, each in self._differences()))
    @rule(which=some, choice=some)
    def a_difference_is_settled(self, which: int, choice: int) -> None:
        open_ones = [(node, each) for node, each in self._differences() if each.actions]
        node, difference = open_ones[which % len(open_ones)]
        self._settle_one(node, difference, choice)

    # --- how it is done --------------------------------------------------------------------

    def _one(self, model: Any, which: int) -> Any:
        rows = model.objects.order_by("pk")
        return rows[which % len(rows)]

    def _neighbours(self) -> list[list[Container]]:
        """The containers of each node."""
        return [list(node.containers.select_related("node")) for node in self.nodes]

    def _give_images(self, node: Node, images: list[str]) -> None:
        driver = simulated(node)
        with driver._node.locked():
            driver._node.configure(replace(driver._node.settings(), images=images))

    def _take_stock(self, node: Node) -> None:
        with suppress(DriverError):
            inventory.keep(node, inventory.ask(node))

    def _differences(self) -> list[tuple[Node, Difference]]:
        return [(node, each) for node in self.nodes for each in differences_on(node)]

    def _settle_one(self, node: Node, difference: Difference, choice: int) -> None:
        action: Action = difference.actions[choice % len(difference.actions)]
        with suppress(NotPossible):
            if action is ADOPT:
                name = f"old-{next(numbers)}"
                settling.adopt(node, difference.number, customer=self.lena, name=name, by=self.ada)
            else:
                DOORS[action.name](node, difference.number, by=self.ada)

    # --- how all is made whole again -------------------------------------------------------

    def _mend_all(self) -> None:
        Node.objects.update(in_service=True)
        for node in self.nodes:
            simulated(node).set_faults(Faults())
            self._give_images(node, [IMAGE])
            self._take_stock(node)

    def _settle_differences(self) -> None:
        for node in self.nodes:
            self._take_stock(node)
        for node, difference in self._differences():
            if difference.actions:
                self._settle_one(node, difference, difference.number)

    def _delete_what_nobody_wants(self) -> None:
        """What can be settled by nothing but the hand of whoever looks into it: a copy that no move
        has left."""
        for node, difference in self._differences():
            if difference.is_here:
                simulated(node).lose(difference.name)

    def _look_after_them(self) -> None:
        """Work that was given up may have left a system that is still asked to shut down."""
        for driver, name in self._untold():
            driver.power(name, Power.STOPPED)

    def _give_names_back(self) -> None:
        """What was renamed was taken for no other. It is called as it was again, or deleted where
        nobody looks for it."""
        for node in self.nodes:
            driver = simulated(node)
            made_for = {name: int(one.labels["number"]) for name, one in driver.instances().items()}
            renamed = {name: n for name, n in made_for.items() if name != f"ct-{n}"}
            here = node.containers.filter(missing=False)
            assert not renamed.keys() & {container.instance_name for container in here}
            for name, number in renamed.items():
                driver.power(name, Power.STOPPED)
                driver.give_name(name, f"was-{number}")
            for number in renamed.values():
                if node.containers.filter(pk=number).exists():
                    driver.give_name(f"was-{number}", f"ct-{number}")
                driver.lose(f"was-{number}")

    def _untold(self) -> list[tuple[Tampered, str]]:
        return [
            (simulated(node), one.name)
            for node in self.nodes
            for one in simulated(node).instances().values()
            if one.power in {Power.BUSY, Power.ERROR}
        ]
