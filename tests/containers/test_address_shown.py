"""The address on the page is the one that the node reports: none where it reports none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from containers.drivers import Instance, Power
from containers.drivers.simulated import SimulatedDriver
from containers.models import Container, Node
from containers.observe import Watcher
from containers.statuses import Status
from panel.models import User
from tests.cast import ContainerFactory
from tests.conftest import Clock, Worker
from tests.containers.acts import ask_and_wait, broken, fresh, history, look
from tests.tampering import simulated

pytestmark = pytest.mark.django_db

OLD = "10.1.0.7"


@pytest.fixture
def runs(lena: User, node: Node, other_node: Node) -> Container:
    return ContainerFactory.create(customer=lena, node=node, status=Status.RUNNING, address=OLD)


@pytest.fixture
def reports_address(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`reports_address("")`: what nodes say of all that is on them from now on."""
    one, every = SimulatedDriver.instance, SimulatedDriver.instances

    def say(address: str) -> None:
        def instance(driver: SimulatedDriver, name: str) -> Instance | None:
            seen = one(driver, name)
            return replace(seen, address=address) if seen else None

        def instances(driver: SimulatedDriver) -> dict[str, Instance]:
            return {name: replace(seen, address=address) for name, seen in every(driver).items()}

        monkeypatch.setattr(SimulatedDriver, "instance", instance)
        monkeypatch.setattr(SimulatedDriver, "instances", instances)

    return say


@pytest.mark.parametrize("action", ["stop", "restart", "migrate"])
def test_an_address_that_went_with_the_work_is_not_shown_any_more(
    action: str, runs: Container, ada: User, worker: Worker, reports_address: Callable[[str], None]
) -> None:
    reports_address("")
    assert ask_and_wait(runs, action, worker, ada).address == ""


@pytest.mark.parametrize("action", ["stop", "restart", "migrate"])
def test_one_that_runs_on_as_it_did_keeps_its_address_though_its_node_has_not_told_it_again(
    action: str,
    runs: Container,
    node: Node,
    ada: User,
    worker: Worker,
    reports_address: Callable[[str], None],
) -> None:
    reports_address("")
    broken(node, failing=True)
    container = ask_and_wait(runs, action, worker, ada)
    assert (container.status, container.address) == (Status.RUNNING, OLD)


def test_one_that_stopped_by_itself_has_no_address(
    runs: Container, node: Node, watcher: Watcher, reports_address: Callable[[str], None]
) -> None:
    reports_address("")
    simulated(node).power(runs.instance_name, Power.STOPPED)
    look(watcher)
    assert (fresh(runs).status, fresh(runs).address) == (Status.STOPPED, "")


def test_an_address_left_on_one_that_is_stopped_is_taken_away_without_a_row_of_history(
    container: Container, watcher: Watcher, reports_address: Callable[[str], None]
) -> None:
    Container.objects.update(address=OLD)
    reports_address("")
    look(watcher)
    cleared = fresh(container)
    assert (cleared.status, cleared.address, history(container)) == (Status.STOPPED, "", [])
    look(watcher)
    assert fresh(container).revision == cleared.revision


def test_one_that_runs_keeps_its_address_until_its_node_tells_another(
    runs: Container, watcher: Watcher, clock: Clock, reports_address: Callable[[str], None]
) -> None:
    """A node that was asked anew may not have found the address out yet."""
    reports_address("")
    look(watcher)
    assert fresh(runs).address == OLD
    reports_address("10.1.0.8")
    clock.advance(5)
    look(watcher)
    assert fresh(runs).address == "10.1.0.8"
