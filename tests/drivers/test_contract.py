"""What every driver promises, of whatever kind its node is: instances."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from io import BytesIO

import pytest

from containers.drivers import (
    Conflict,
    NoSuchImage,
    NoSuchInstance,
    Power,
    Refused,
    Spec,
)

from .conftest import Nodes, eventually, finish, walk_away, whole_once


def power(nodes: Nodes, name: str) -> Power | None:
    found = nodes.here.instance(name)
    assert nodes.here.instances().get(name) == found
    return found.power if found else None


def test_a_node_says_what_it_has(nodes: Nodes) -> None:
    resources = nodes.here.resources()
    assert min(resources.cpus, resources.memory_mb, resources.disk_gb) > 0
    assert nodes.image in nodes.here.images()
    assert nodes.here.timeout > 0


def test_what_was_created_is_there_once_and_stopped(nodes: Nodes, name: str) -> None:
    assert power(nodes, name) is None
    finish(nodes.here.create(nodes.spec(name)))
    assert power(nodes, name) is Power.STOPPED
    assert nodes.there.instance(name) is None


def test_progress_comes_in_percent_and_in_words(nodes: Nodes, name: str) -> None:
    """How often it comes, each kind of driver has tests of its own for: here it depends on how busy
    the machine is."""
    seen = finish(nodes.here.create(nodes.spec(name)))
    assert seen
    for progress in seen:
        assert progress.percent is None or 0 <= progress.percent <= 100
        assert isinstance(progress.step, str)


def test_creating_what_is_there_changes_nothing(nodes: Nodes, stopped: str) -> None:
    nodes.here.write_file(stopped, "/root/kept", BytesIO(b"kept"))
    finish(nodes.here.create(nodes.spec(stopped)))
    assert b"".join(nodes.here.read_file(stopped, "/root/kept")) == b"kept"
    assert power(nodes, stopped) is Power.STOPPED


def test_creating_what_runs_lets_it_run(nodes: Nodes, running: str) -> None:
    finish(nodes.here.create(nodes.spec(running)))
    assert power(nodes, running) is Power.RUNNING


def test_creation_goes_on_when_nobody_listens(nodes: Nodes, name: str) -> None:
    walk_away(nodes.here.create(nodes.spec(name)))
    eventually(lambda: nodes.here.instance(name), Power.STOPPED)
    whole_once(name, nodes.here, nodes.there)


def test_what_is_whole_or_was_never_begun_is_not_unfinished(nodes: Nodes, name: str) -> None:
    assert name not in nodes.here.unfinished()
    finish(nodes.here.create(nodes.spec(name)))
    assert name not in nodes.here.unfinished()
    finish(nodes.here.move(name, nodes.there))
    assert name not in [*nodes.here.unfinished(), *nodes.there.unfinished()]


def test_creation_can_be_asked_for_again_while_it_goes_on(nodes: Nodes, name: str) -> None:
    walk_away(nodes.here.create(nodes.spec(name)))
    finish(nodes.here.create(nodes.spec(name)))
    assert power(nodes, name) is Power.STOPPED
    whole_once(name, nodes.here, nodes.there)


def test_an_unknown_image_is_named_as_the_reason_and_leaves_nothing(
    nodes: Nodes, name: str
) -> None:
    spec = Spec(name, "web.example.org", "no-such-system/0", 1, 128, 1)
    with pytest.raises(NoSuchImage):
        finish(nodes.here.create(spec))
    assert power(nodes, name) is None


def test_a_name_that_leads_elsewhere_is_refused(nodes: Nodes) -> None:
    for name in ("../ct-1", "ct/1", "", ".", "a" * 300):
        with pytest.raises(Refused):
            finish(nodes.here.create(nodes.spec(name)))
        assert nodes.here.instance(name) is None


def test_what_is_missing_is_known_to_be_missing(nodes: Nodes, name: str) -> None:
    node = nodes.here
    assert node.instance(name) is None
    assert name not in node.instances()
    for work in (
        node.start(name),
        node.stop(name),
        node.stop(name, force=True),
        node.move(name, nodes.there),
    ):
        with pytest.raises(NoSuchInstance):
            finish(work)
    with pytest.raises(NoSuchInstance):
        node.list_folder(name, "/")
    with pytest.raises(NoSuchInstance):
        node.file_info(name, "/etc")
    with pytest.raises(NoSuchInstance):
        node.write_file(name, "/root/x", BytesIO(b"x"))


@pytest.mark.parametrize("instance", ["stopped", "running"])
def test_a_node_tells_what_an_instance_was_made_with(
    nodes: Nodes, instance: str, request: pytest.FixtureRequest
) -> None:
    asked = nodes.spec(request.getfixturevalue(instance))
    told = nodes.here.describe(asked.name)
    assert (told.name, told.hostname, told.image) == (asked.name, asked.hostname, asked.image)
    assert (told.cpus, told.memory_mb, told.disk_gb) == (asked.cpus, asked.memory_mb, asked.disk_gb)


def test_of_what_is_not_there_a_node_tells_nothing(nodes: Nodes, name: str) -> None:
    with pytest.raises(NoSuchInstance):
        nodes.here.describe(name)
    with pytest.raises(NoSuchInstance):
        nodes.here.claim(name, {})


def test_start_makes_it_run_and_again_changes_nothing(nodes: Nodes, stopped: str) -> None:
    for _ in range(2):
        finish(nodes.here.start(stopped))
        assert power(nodes, stopped) is Power.RUNNING


def test_starting_goes_on_when_nobody_listens(nodes: Nodes, stopped: str) -> None:
    walk_away(nodes.here.start(stopped))
    eventually(lambda: nodes.here.instance(stopped), Power.RUNNING)


def test_starting_can_be_asked_for_again_while_it_goes_on(nodes: Nodes, stopped: str) -> None:
    walk_away(nodes.here.start(stopped))
    finish(nodes.here.start(stopped))
    assert power(nodes, stopped) is Power.RUNNING


@pytest.mark.parametrize("force", [False, True])
def test_stop_makes_it_stop_and_again_changes_nothing(
    nodes: Nodes, running: str, force: bool
) -> None:
    for _ in range(2):
        finish(nodes.here.stop(running, force=force))
        assert power(nodes, running) is Power.STOPPED


def test_stopping_goes_on_when_nobody_listens(nodes: Nodes, running: str) -> None:
    walk_away(nodes.here.stop(running))
    eventually(lambda: nodes.here.instance(running), Power.STOPPED)


def test_stopping_can_be_asked_for_again_while_it_goes_on(nodes: Nodes, running: str) -> None:
    walk_away(nodes.here.stop(running))
    finish(nodes.here.stop(running))
    assert power(nodes, running) is Power.STOPPED


def test_force_cuts_a_gentle_stop_short(nodes: Nodes, running: str) -> None:
    walk_away(nodes.here.stop(running))
    finish(nodes.here.stop(running, force=True))
    assert power(nodes, running) is Power.STOPPED


def test_what_was_stopped_starts_again_with_its_files(nodes: Nodes, stopped: str) -> None:
    nodes.here.write_file(stopped, "/root/kept", BytesIO(b"kept"))
    finish(nodes.here.start(stopped))
    finish(nodes.here.stop(stopped, force=True))
    assert b"".join(nodes.here.read_file(stopped, "/root/kept")) == b"kept"


def test_deleting_what_runs_is_refused_and_lets_it_run(nodes: Nodes, running: str) -> None:
    with pytest.raises(Refused):
        finish(nodes.here.delete(running))
    assert power(nodes, running) is Power.RUNNING


def test_delete_makes_it_be_gone_and_again_changes_nothing(nodes: Nodes, stopped: str) -> None:
    for _ in range(2):
        finish(nodes.here.delete(stopped))
        assert power(nodes, stopped) is None


def test_deletion_goes_on_when_nobody_listens(nodes: Nodes, stopped: str) -> None:
    walk_away(nodes.here.delete(stopped))
    eventually(lambda: nodes.here.instance(stopped), None)


def test_a_name_is_free_again_after_deletion(nodes: Nodes, stopped: str) -> None:
    nodes.here.write_file(stopped, "/root/old", BytesIO(b"old"))
    finish(nodes.here.delete(stopped))
    finish(nodes.here.create(nodes.spec(stopped)))
    names = [file.name for file in nodes.here.list_folder(stopped, "/root")]
    assert "old" not in names


def test_a_moved_container_is_on_the_other_node_with_its_files(nodes: Nodes, stopped: str) -> None:
    nodes.here.write_file(stopped, "/root/kept", BytesIO(b"kept"))
    nodes.mark(stopped, "/root/kept", 0o640)
    nodes.put_link(stopped, "/root/link", "/nowhere/at/all")
    before = nodes.here.list_folder(stopped, "/root")
    finish(nodes.here.move(stopped, nodes.there))
    assert whole_once(stopped, nodes.here, nodes.there) is nodes.there
    found = nodes.there.instance(stopped)
    assert found
    assert found.power is Power.STOPPED
    assert b"".join(nodes.there.read_file(stopped, "/root/kept")) == b"kept"
    after = nodes.there.list_folder(stopped, "/root")
    for old, new in zip(before, after, strict=True):
        assert (old.name, old.kind, old.size, old.mode) == (new.name, new.kind, new.size, new.mode)
        assert (old.uid, old.gid, old.target) == (new.uid, new.gid, new.target)


def test_what_can_be_moved_is_told_beforehand_and_untouched_by_it(
    nodes: Nodes, running: str
) -> None:
    nodes.here.check_move(running, nodes.there)
    seen = nodes.here.instance(running)
    assert seen is not None
    assert seen.power is Power.RUNNING
    assert nodes.there.instance(running) is None
    with pytest.raises(NoSuchInstance):
        nodes.here.check_move("ct-0", nodes.there)
    with pytest.raises(Refused):
        nodes.here.check_move(running, object())  # type: ignore[arg-type]


def test_moving_what_is_moved_changes_nothing(nodes: Nodes, stopped: str) -> None:
    for _ in range(2):
        finish(nodes.here.move(stopped, nodes.there))
        assert whole_once(stopped, nodes.here, nodes.there) is nodes.there


def test_moving_can_be_asked_for_again_while_it_goes_on(nodes: Nodes, stopped: str) -> None:
    walk_away(nodes.here.move(stopped, nodes.there))
    finish(nodes.here.move(stopped, nodes.there))
    assert whole_once(stopped, nodes.here, nodes.there) is nodes.there


def test_a_moved_container_starts_there_and_comes_back(nodes: Nodes, stopped: str) -> None:
    finish(nodes.here.move(stopped, nodes.there))
    finish(nodes.there.start(stopped))
    finish(nodes.there.stop(stopped, force=True))
    finish(nodes.there.move(stopped, nodes.here))
    assert whole_once(stopped, nodes.here, nodes.there) is nodes.here


@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "being created"])
def test_what_was_made_for_another_container_is_not_deleted(
    nodes: Nodes, name: str, is_whole: bool
) -> None:
    (finish if is_whole else walk_away)(nodes.here.create(nodes.spec(name)))
    finish(nodes.here.delete(name, labels={"order": "8"}))
    eventually(lambda: nodes.here.instance(name), Power.STOPPED)
    finish(nodes.here.delete(name, labels={"order": "7"}))
    assert nodes.here.instance(name) is None


def test_giving_up_a_move_that_nobody_began_or_that_is_done_changes_nothing(
    nodes: Nodes, stopped: str
) -> None:
    finish(nodes.here.give_up_move(stopped, nodes.there))
    assert whole_once(stopped, nodes.here, nodes.there) is nodes.here
    finish(nodes.here.move(stopped, nodes.there))
    finish(nodes.here.give_up_move(stopped, nodes.there))
    assert whole_once(stopped, nodes.here, nodes.there) is nodes.there
    finish(nodes.here.give_up_move("ct-0", nodes.there))


def test_moving_to_where_it_is_changes_nothing(nodes: Nodes, stopped: str) -> None:
    finish(nodes.here.move(stopped, nodes.here))
    assert whole_once(stopped, nodes.here, nodes.there) is nodes.here


def test_what_runs_is_not_moved(nodes: Nodes, running: str) -> None:
    with pytest.raises(Refused):
        finish(nodes.here.move(running, nodes.there))
    assert power(nodes, running) is Power.RUNNING
    assert nodes.there.instance(running) is None


def test_what_is_not_ours_is_not_touched(nodes: Nodes, name: str) -> None:
    unharmed = nodes.put_stranger(name)
    assert nodes.here.instance(name) is None
    for work in (nodes.here.delete(name), nodes.here.start(name), nodes.here.stop(name)):
        with suppress(Refused):
            finish(work)
    assert unharmed()


def test_what_is_not_ours_survives_a_creation_of_the_same_name(nodes: Nodes, name: str) -> None:
    unharmed = nodes.put_stranger(name)
    with pytest.raises(Refused):
        finish(nodes.here.create(nodes.spec(name)))
    assert nodes.here.instance(name) is None
    assert unharmed()


def test_what_was_made_by_hand_is_listed_as_such_and_out_of_reach(nodes: Nodes, name: str) -> None:
    nodes.put_by_hand(name)
    found = nodes.here.instances()[name]
    assert (found.power, found.by_hand) == (Power.STOPPED, True)
    assert nodes.here.instance(name) is None
    for work in (
        nodes.here.create(nodes.spec(name)),
        nodes.here.start(name),
        nodes.here.stop(name, force=True),
        nodes.here.move(name, nodes.there),
    ):
        with pytest.raises(Refused):
            finish(work)
    with pytest.raises(NoSuchInstance):
        nodes.here.list_folder(name, "/")
    finish(nodes.here.delete(name))
    assert nodes.here.instances()[name].by_hand
    assert nodes.there.instance(name) is None


def test_a_move_never_replaces_what_was_made_by_hand(nodes: Nodes, name: str) -> None:
    nodes.put_by_hand(name)
    if nodes.share_names:
        with pytest.raises(Refused):
            finish(nodes.there.create(nodes.spec(name)))
    else:
        finish(nodes.there.create(nodes.spec(name)))
        with pytest.raises(Refused):
            finish(nodes.there.move(name, nodes.here))
    assert nodes.here.instances()[name].by_hand
    assert (nodes.there.instance(name) is None) is nodes.share_names


def test_what_was_made_by_hand_is_the_panels_once_it_is_claimed(nodes: Nodes, name: str) -> None:
    nodes.put_by_hand(name)
    told = nodes.here.describe(name)
    assert (told.image, told.cpus, told.memory_mb, told.disk_gb) == (nodes.image, 1, 128, 1)
    for _ in range(2):
        nodes.here.claim(name, {"number": "7"})
        assert power(nodes, name) is Power.STOPPED
    assert nodes.here.describe(name) == replace(told, labels={"number": "7"})
    finish(nodes.here.start(name))
    assert power(nodes, name) is Power.RUNNING
    nodes.booted(name)
    finish(nodes.here.stop(name))
    finish(nodes.here.move(name, nodes.there))
    assert whole_once(name, nodes.here, nodes.there) is nodes.there
    finish(nodes.there.delete(name))
    assert name not in nodes.there.instances()


def test_claiming_what_is_the_panels_changes_its_labels_alone(nodes: Nodes, running: str) -> None:
    told = nodes.here.describe(running)
    nodes.here.claim(running, {"number": "7"})
    assert nodes.here.describe(running) == replace(told, labels={"number": "7"})
    assert power(nodes, running) is Power.RUNNING


def test_an_instance_tells_the_labels_that_it_was_made_with(nodes: Nodes, stopped: str) -> None:
    for found in (nodes.here.instance(stopped), nodes.here.instances()[stopped]):
        assert found is not None
        assert found.labels == {"order": "7"}


def test_several_containers_do_not_get_in_each_others_way(nodes: Nodes, stopped: str) -> None:
    others = [f"{stopped}-{letter}" for letter in "ab"]
    for other in others:
        walk_away(nodes.here.create(nodes.spec(other)))
    for other in others:
        finish(nodes.here.create(nodes.spec(other)))
    assert {stopped, *others} <= nodes.here.instances().keys()
    for other in others:
        finish(nodes.here.delete(other))
    assert power(nodes, stopped) is Power.STOPPED


def test_the_files_of_a_running_container_are_out_of_reach(nodes: Nodes, running: str) -> None:
    with pytest.raises(Conflict):
        nodes.here.list_folder(running, "/")
    with pytest.raises(Conflict):
        nodes.here.write_file(running, "/root/x", BytesIO(b"x"))
    with pytest.raises(Conflict):
        nodes.here.remove(running, "/etc/passwd")
    finish(nodes.here.stop(running, force=True))
    assert "x" not in [file.name for file in nodes.here.list_folder(running, "/root")]
