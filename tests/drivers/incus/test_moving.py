"""Whatever comes between on a move between Incus servers: the container is whole, and once."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import pytest

from containers.drivers import Conflict, NoSuchInstance, Power, Progress, Refused, Unreachable
from containers.drivers.incus import IncusDriver, moving
from containers.drivers.incus.instances import IncusInstance
from containers.drivers.incus.operations import under_way
from tests.drivers.conftest import finish, refusal, walk_away
from tests.incus_node import IncusNode, wait_until

from .conftest import power, spec

pytestmark = pytest.mark.incus


def test_a_move_never_replaces_another_container_of_the_same_name(
    driver: IncusDriver, other: IncusDriver, name: str
) -> None:
    for each in (driver, other):
        finish(each.create(spec(name)))
    other.write_file(name, "/root/theirs", BytesIO())
    assert isinstance(refusal(driver.move(name, other)), Refused)
    assert power(driver, name) is Power.STOPPED
    assert other.file_info(name, "/root/theirs")


def test_a_move_given_up_when_both_are_whole_leaves_a_copy_that_can_be_removed(
    driver: IncusDriver, other: IncusDriver, name: str
) -> None:
    finish(driver.create(spec(name)))
    for progress in driver.move(name, other):
        if progress.step == "Deleting the original":
            break  # the last moment at which whoever is too late can be told
    assert driver.instance(name)
    assert other.instance(name)
    finish(driver.start(name))
    finish(driver.stop(name, force=True))
    refused = refusal(driver.move(name, other))
    assert isinstance(refused, Refused)
    assert "old copy" in refused.sentence
    finish(other.delete(name))
    finish(driver.move(name, other))
    assert driver.look(name) is None
    assert power(other, name) is Power.STOPPED


def test_a_move_given_up_while_it_copies_leaves_nothing_there(
    driver: IncusDriver, other: IncusDriver, name: str
) -> None:
    finish(driver.create(spec(name)))
    for progress in driver.move(name, other):
        if progress.step == "Copying":
            break
    finish(driver.give_up_move(name, other))
    assert other.look(name) is None
    assert power(driver, name) is Power.STOPPED
    finish(driver.move(name, other))
    assert driver.look(name) is None
    assert power(other, name) is Power.STOPPED


def test_a_copy_that_nobody_has_verified_is_not_listed(
    driver: IncusDriver, other: IncusDriver, name: str
) -> None:
    finish(driver.create(spec(name)))
    for progress in driver.move(name, other):
        if progress.step == "Verifying the copy":
            break
    found = other.look(name)
    assert found is not None
    assert found.is_unpacked
    assert name not in other.instances()
    with pytest.raises(NoSuchInstance):
        other.claim(name, {})
    finish(driver.move(name, other))


def test_a_copy_that_is_out_of_date_is_not_taken_for_the_container(
    driver: IncusDriver, other: IncusDriver, name: str
) -> None:
    finish(driver.create(spec(name)))
    walk_away(driver.move(name, other))
    wait_until(lambda: not under_way(driver.client, name))
    driver.write_file(name, "/root/later", BytesIO(b"kept"))
    finish(driver.move(name, other))
    assert driver.instance(name) is None
    assert b"".join(other.read_file(name, "/root/later")) == b"kept"


def test_who_comes_too_late_to_clear_away_an_old_copy_leaves_the_container(
    driver: IncusDriver, other: IncusDriver, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was stopped for longer than its lease finds the work of another one."""
    finish(driver.create(spec(name)))
    for progress in driver.move(name, other):
        if progress.step == "Verifying the copy":
            break
    driver.write_file(name, "/root/later", BytesIO(b"kept"))  # the copy is out of date from now on
    late = IncusDriver(other.server)
    clear = late.discard

    def overtaken(found: IncusInstance, step: str) -> Iterator[Progress]:
        finish(driver.move(name, other))
        return clear(found, step)

    monkeypatch.setattr(late, "discard", overtaken)
    assert isinstance(refusal(driver.move(name, late)), Conflict)
    assert driver.look(name) is None
    assert b"".join(other.read_file(name, "/root/later")) == b"kept"


def test_a_move_to_a_server_that_is_gone_leaves_the_container_where_it_was(
    node: IncusNode, driver: IncusDriver, other: IncusDriver, name: str
) -> None:
    finish(other.create(spec(name)))
    node.kill()
    assert isinstance(refusal(other.move(name, driver)), Unreachable)
    assert power(other, name) is Power.STOPPED
    node.start()
    finish(other.move(name, driver))
    assert power(driver, name) is Power.STOPPED
    assert other.instance(name) is None


def test_a_move_in_a_cluster_that_ends_between_two_looks_is_done(
    member_drivers: list[IncusDriver], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = member_drivers
    finish(here.create(spec(name)))
    real = moving._fit_to_move

    def overtaken(driver: IncusDriver, name: str) -> IncusInstance:
        monkeypatch.setattr(moving, "_fit_to_move", real)
        finish(here.move(name, there))
        return real(driver, name)

    monkeypatch.setattr(moving, "_fit_to_move", overtaken)
    finish(here.move(name, there))
    assert here.instance(name) is None
    assert power(there, name) is Power.STOPPED
    finish(there.delete(name))


def test_a_container_moves_into_a_cluster_and_out_again(
    driver: IncusDriver, member_drivers: list[IncusDriver], name: str
) -> None:
    finish(driver.create(spec(name)))
    for here, there in ((driver, member_drivers[1]), (member_drivers[1], driver)):
        finish(here.move(name, there))
        assert here.instance(name) is None
        assert power(there, name) is Power.STOPPED
