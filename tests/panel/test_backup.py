"""One file holds the panel; put back, the nodes say what has become of it, and nothing is lost."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings as django_settings
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test import Client
from pytest_django import Settings

from containers import operations, rejoining
from containers.connect import spec_of
from containers.drivers import Instance, Power
from containers.drivers.simulated import SimulatedDriver
from containers.models import Container, Node, Operation, Stray
from containers.observe import Watcher
from containers.operations.carrying import PutBack
from containers.placement import NoNodeFits
from containers.rejoining import MARK, refuse_unless_rejoined, rejoin
from containers.settling import NotPossible, create_again, forget, take_over
from containers.statuses import Status
from orders.checkout import open_payment
from orders.models import Order
from panel import backup
from panel.models import User
from tests.cast import (
    ContainerFactory,
    OrderFactory,
    UserFactory,
    effects_on,
    power_of,
)
from tests.conftest import Clock, Worker
from tests.containers.acts import ask_and_wait, broken, fresh, last_operation, look
from tests.tampering import simulated

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def keys(settings: Settings, tmp_path: Path) -> None:
    settings.INCUS_IDENTITY = tmp_path / "incus.pem"
    settings.INCUS_IDENTITY.write_text("the panel's key")
    (tmp_path / "secret-key").write_text("sesame")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "berth.tar.gz"


@pytest.fixture
def burnt_down(settings: Settings, tmp_path: Path) -> Callable[[], None]:
    """`burnt_down()`: an empty machine; only the nodes are what they were."""

    def burn() -> None:
        call_command("flush", verbosity=0, interactive=False)
        empty = tmp_path / "empty"
        empty.mkdir()
        (empty / "nodes").symlink_to(tmp_path / "nodes")
        settings.DATA, settings.INCUS_IDENTITY = empty, empty / "incus.pem"

    return burn


def make(number: int, node: Node, status: str, lena: User) -> Container:
    container: Container = ContainerFactory.create(
        customer=lena, node=node, status=status, name=f"web-{number}"
    )
    return container


def test_what_happened_after_the_back_up_is_learned_from_the_nodes(
    file: Path,
    burnt_down: Callable[[], None],
    lena: User,
    ada: User,
    node: Node,
    as_lena: Client,
    worker: Worker,
) -> None:
    same, started, halted, doomed = (
        make(number, node, status, lena)
        for number, status in enumerate(["running", "stopped", "running", "stopped"])
    )
    call_command("backup", file)

    ask_and_wait(started, "start", worker, ada)
    ask_and_wait(halted, "stop", worker, ada)
    ask_and_wait(doomed, "destroy", worker, ada)
    late = OrderFactory.create(customer=lena)
    paid = open_payment(late, lena)
    ask_and_wait(late.container, "create", worker, ada)
    before = len(simulated(node).journal())

    burnt_down()
    call_command("restore", file)
    look(Watcher())
    assert [fresh(c).status for c in (same, started, halted, doomed)] == [
        Status.RUNNING, Status.RUNNING, Status.STOPPED, Status.OFFLINE,
    ]  # fmt: skip
    assert fresh(doomed).missing
    assert list(Stray.objects.values_list("number", flat=True)) == [late.container.pk]
    order = OrderFactory.create(customer=User.objects.get(username="lena"))
    assert order.container.pk > late.container.pk
    assert order.pk > late.pk
    assert open_payment(order, order.customer).pk > paid.pk
    operations.sweep()
    worker.carry_out_all()
    assert len(simulated(node).journal()) == before
    assert (django_settings.DATA / "secret-key").read_text() == "sesame"
    assert django_settings.INCUS_IDENTITY.read_text() == "the panel's key"
    assert not Session.objects.exists()


def test_what_may_be_on_a_node_that_does_not_answer_is_not_created_again(
    file: Path,
    burnt_down: Callable[[], None],
    lena: User,
    node: Node,
    other_node: Node,
    worker: Worker,
    settings: Settings,
) -> None:
    """Of those that the back-up has ordered one was created since, another has moved away."""
    first, moved = OrderFactory.create(customer=lena), make(1, other_node, "stopped", lena)
    ada = UserFactory.create(is_administrator=True)
    call_command("backup", file)
    created = ask_and_wait(first.container, "create", worker, ada)
    ask_and_wait(moved, "migrate", worker, ada, target=node.pk)
    assert created.node == node

    burnt_down()
    call_command("restore", file)
    ada = User.objects.get(pk=ada.pk)
    broken(node, unplugged=True)
    look(Watcher(), settings.MISSES_UNTIL_OFFLINE)
    with pytest.raises(NoNodeFits, match="may be on node-a already"):
        operations.request(created.pk, "create", by=ada)
    assert "may be on node-a already" in fresh(created).problem
    assert fresh(moved).is_gone()
    for door in (create_again, forget):
        with pytest.raises(NotPossible, match="may be on node node-a"):
            door(other_node, moved.pk, by=ada)
    later = OrderFactory.create(customer=User.objects.get(pk=lena.pk)).container
    assert ask_and_wait(later, "create", worker, ada).status == Status.STOPPED

    broken(node)
    look(Watcher())
    created = ask_and_wait(created, "create", worker, ada)
    assert (created.status, created.node) == (Status.STOPPED, node)
    assert effects_on(node, other_node, of=created) == ["created"]
    take_over(Node.objects.get(pk=node.pk), moved.pk, by=ada)
    assert fresh(moved).node == node


def test_a_node_that_is_lost_is_taken_out_of_service_and_nothing_waits_for_it(
    file: Path,
    burnt_down: Callable[[], None],
    lena: User,
    node: Node,
    other_node: Node,
    worker: Worker,
) -> None:
    order = OrderFactory.create(customer=lena)
    call_command("backup", file)
    burnt_down()
    call_command("restore", file)
    broken(node, unplugged=True)
    look(Watcher(), 3)
    Node.objects.filter(pk=node.pk).update(in_service=False)
    operations.request(order.container_id, "create", by=None)
    worker.carry_out_all()
    assert fresh(order.container).node == other_node


def test_a_node_that_gave_no_answer_about_one_has_not_been_seen_whole(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    rejoin()
    silent = Instance("ct-1", Power.ERROR, known=False)
    with monkeypatch.context() as patch:
        patch.setattr(SimulatedDriver, "instances", lambda driver: {silent.name: silent})
        look(Watcher())
        assert Node.objects.get().may_have_up_to is not None
    look(Watcher())
    assert Node.objects.get().may_have_up_to is None


def test_nothing_is_done_for_work_that_was_open(
    file: Path,
    burnt_down: Callable[[], None],
    lena: User,
    ada: User,
    node: Node,
    other_node: Node,
    worker: Worker,
) -> None:
    done, undone, destroyed, kept, unmoved = (
        make(number, node, status, lena)
        for number, status in enumerate(["stopped", "running", "stopped", "stopped", "running"])
    )
    for container, action in [
        (done, "start"), (undone, "stop"), (destroyed, "destroy"), (kept, "destroy"),
        (unmoved, "migrate"),
    ]:  # fmt: skip
        operations.request(container.pk, action, by=ada)
    call_command("backup", file)

    worker.lose_everything()
    simulated(node).power(done.instance_name, Power.RUNNING)
    simulated(node).lose(destroyed.instance_name)
    # The move came to nothing, and somebody has stopped it since.
    simulated(node).power(unmoved.instance_name, Power.STOPPED)
    before = simulated(node).journal()

    burnt_down()
    call_command("restore", file)
    for operation in Operation.objects.open():
        operations.carry_out(operation.pk)
    assert [(fresh(c).status, last_operation(c).outcome) for c in (done, undone)] == [
        ("running", "done"), ("running", "failed"),
    ]  # fmt: skip
    assert last_operation(undone).error == PutBack.sentence
    assert (fresh(kept).status, last_operation(kept).outcome) == ("stopped", "failed")
    assert (fresh(unmoved).status, last_operation(unmoved).outcome) == ("stopped", "failed")
    look(Watcher())
    assert (fresh(destroyed).status, fresh(destroyed).missing) == ("offline", True)
    assert simulated(node).journal() == before
    assert simulated(other_node).journal() == []


def test_a_creation_that_was_open_deletes_nothing(
    file: Path, burnt_down: Callable[[], None], lena: User, ada: User, node: Node, worker: Worker
) -> None:
    container = OrderFactory.create(customer=lena).container
    operations.request(container.pk, "create", by=ada)
    call_command("backup", file)
    worker.lose_everything()
    simulated(node).seed(spec_of(container), Power.BUSY, pace=5)

    burnt_down()
    call_command("restore", file)
    operations.carry_out(Operation.objects.open().get().pk)
    assert (fresh(container).status, fresh(container).node) == (Status.ORDERED, None)
    assert simulated(node)._node.creation(container.instance_name)


def test_what_was_created_meanwhile_is_not_created_a_second_time(
    file: Path,
    burnt_down: Callable[[], None],
    lena: User,
    node: Node,
    ada: User,
    worker: Worker,
    clock: Clock,
) -> None:
    order = OrderFactory.create(customer=lena, status=Order.Status.PAID)
    Container.objects.update(create_again_at="2026-01-01T00:00:00Z")
    call_command("backup", file)
    operations.sweep()
    worker.carry_out_all()
    assert power_of(fresh(order.container)) is Power.STOPPED

    burnt_down()
    call_command("restore", file)
    Node.objects.create(name="roomier", kind="simulated", memory_mb=10**6, disk_gb=10**4)
    Node.objects.get(name="roomier").images.create(name="debian/12")
    operations.sweep()
    assert not Operation.objects.exists()
    look(Watcher())
    clock.advance(301)
    operations.sweep()
    worker.carry_out_all()
    assert (fresh(order.container).status, fresh(order.container).node) == ("stopped", node)
    assert effects_on(node, of=order.container) == ["created"]
    order.refresh_from_db()
    assert order.status == Order.Status.FULFILLED


def test_a_back_up_is_for_its_owner_alone_and_leaves_nothing_lying_about(
    file: Path, lena: User
) -> None:
    call_command("backup", file)
    assert file.stat().st_mode & 0o777 == 0o600
    with tarfile.open(file) as archive:
        assert archive.getnames() == ["about.json", "database", "secret-key", "incus.pem"]
    assert not [path for path in file.parent.iterdir() if path.name.startswith((".", "tmp"))]


def test_a_back_up_that_is_stopped_leaves_nothing_lying_about_either(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(snapshot: Path) -> None:
        snapshot.write_text("half of it")
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setitem(backup._DUMP, connection.vendor, stopped)
    there, was = set(file.parent.iterdir()), signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with pytest.raises(SystemExit):
            call_command("backup", file)
    finally:
        signal.signal(signal.SIGTERM, was)
    assert set(file.parent.iterdir()) == there


@pytest.mark.parametrize("command", [["backup"], ["restore", "--force"]])
def test_without_its_database_it_says_so_in_a_line(
    command: list[str], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call_command("backup", file)

    def gone(*_: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setitem(backup._DUMP, connection.vendor, gone)
    monkeypatch.setitem(backup._LOAD, connection.vendor, gone)
    with pytest.raises(CommandError, match="the database cannot be used"):
        call_command(*command, file)


def test_what_is_stored_is_not_thrown_away_unless_it_is_said_so(file: Path, lena: User) -> None:
    call_command("backup", file)
    User.objects.update(first_name="Changed")
    with pytest.raises(CommandError, match="--force"):
        call_command("restore", file)
    assert User.objects.get().first_name == "Changed"
    call_command("restore", file, force=True)
    assert User.objects.get().first_name == "Lena"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"format": 2}, "another release"),
        ({"migrations": [["containers", "9999_later"]]}, "containers.9999_later"),
        ({"database": "oracle"}, "is of oracle"),
    ],
)
def test_a_back_up_that_does_not_fit_is_refused(
    file: Path, lena: User, changed: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = json.dumps
    monkeypatch.setattr(json, "dumps", lambda about: really(about | changed))
    call_command("backup", file)
    with pytest.raises(CommandError, match=why):
        call_command("restore", file, force=True)
    assert User.objects.get() == lena


@pytest.mark.parametrize("part", [lambda whole: whole[:-2000], lambda whole: whole[:-4] + b"else"])
def test_a_damaged_back_up_is_refused(
    file: Path, lena: User, part: Callable[[bytes], bytes]
) -> None:
    call_command("backup", file)
    User.objects.update(first_name="Changed")
    file.write_bytes(part(file.read_bytes()))
    with pytest.raises(CommandError, match=r"damaged|CRC|Incorrect length"):
        call_command("restore", file, force=True)
    assert User.objects.get().first_name == "Changed"


def _broken_off(database: bytes) -> bytes:
    return database[: len(database) * 2 // 3]


def _overwritten(database: bytes) -> bytes:
    middle = len(database) // 2
    return database[:middle] + bytes(8192) + database[middle + 8192 :]


@pytest.mark.parametrize("spoil", [_broken_off, _overwritten])
def test_a_damaged_database_takes_the_place_of_nothing(
    file: Path, lena: User, spoil: Callable[[bytes], bytes]
) -> None:
    call_command("backup", file)
    User.objects.update(first_name="Changed")
    replace(file, "database", spoil)
    with pytest.raises(CommandError, match="does not take"):
        call_command("restore", file, force=True)
    assert User.objects.get().first_name == "Changed"


def replace(file: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Put what `change` makes of it into the place of one member of a back-up."""
    with tarfile.open(file) as archive:
        members = {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr]
    with tarfile.open(file, "w:gz") as archive:
        for member_name, content in (members | {name: change(members[name])}).items():
            member = tarfile.TarInfo(member_name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize(
    "said", ["", "\xff", "[]", "7", "{}", '{"format": 1, "database": "VENDOR", "migrations": 7}',
             '{"format": 1, "database": "VENDOR", "migrations": [["panel"]]}']
)  # fmt: skip
def test_a_back_up_that_does_not_say_what_it_is_takes_the_place_of_nothing(
    file: Path, lena: User, said: str
) -> None:
    call_command("backup", file)
    User.objects.update(first_name="Changed")
    about = said.replace("VENDOR", connection.vendor).encode("latin-1")
    replace(file, "about.json", lambda _: about)
    with pytest.raises(CommandError, match=r"is damaged: about\.json"):
        call_command("restore", file, force=True)
    assert User.objects.get().first_name == "Changed"


@pytest.fixture
def half_taken(file: Path) -> Iterator[None]:
    """A back-up that the database begins to take, and cannot take to the end."""
    lite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE half (content BLOB)" if lite else "CREATE TABLE half ()")
        if lite:
            cursor.execute("INSERT INTO half VALUES (zeroblob(2000000))")
        call_command("backup", file)
        cursor.execute("DROP TABLE half")
        if lite:
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA max_page_count = 1")  # no more than it has
        else:
            cursor.execute("CREATE SEQUENCE half")
        yield
        cursor.execute(
            "PRAGMA max_page_count = 1073741823" if lite else "DROP SEQUENCE IF EXISTS half"
        )


def test_a_restore_that_fails_half_way_leaves_what_was_there(
    file: Path, lena: User, half_taken: None
) -> None:
    User.objects.update(first_name="Changed")
    with pytest.raises(CommandError, match="does not take"):
        call_command("restore", file, force=True)
    assert User.objects.get().first_name == "Changed"


def test_what_is_no_back_up_is_refused(file: Path, lena: User) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("restore", file, force=True)
    file.write_text("not a tar")
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("restore", file, force=True)
    with tarfile.open(file, "w:gz") as archive:
        archive.add(__file__, "else")
    with pytest.raises(CommandError, match=r"no about\.json"):
        call_command("restore", file, force=True)
    assert User.objects.get() == lena


def test_where_a_key_cannot_be_put_back_nothing_is_changed(
    file: Path, lena: User, settings: Settings, tmp_path: Path
) -> None:
    call_command("backup", file)
    User.objects.update(first_name="Changed")
    (tmp_path / "secret-key").write_text("changed")
    settings.INCUS_IDENTITY = tmp_path / "no-folder" / "incus.pem"
    with pytest.raises(CommandError, match="no-folder"):
        call_command("restore", file, force=True)
    assert User.objects.get().first_name == "Changed"
    assert (tmp_path / "secret-key").read_text() == "changed"
    assert not list(tmp_path.glob(".secret-key*"))


@pytest.mark.parametrize("command", ["run_huey", "watch", "launch"])
def test_nothing_works_on_what_a_restore_that_was_cut_off_has_left(
    file: Path, lena: User, command: str
) -> None:
    call_command("backup", file)
    backup.restore(file, force=True)
    with pytest.raises(CommandError, match="restore FILE --force"):
        call_command(command)
    call_command("restore", file, force=True)
    refuse_unless_rejoined()


@pytest.mark.parametrize("command", ["run_huey", "watch"])
def test_a_process_that_starts_without_its_database_asks_it_once_it_is_back(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [OperationalError("connection refused"), OperationalError("starting up"), [MARK]]

    def table_names() -> Any:
        if isinstance(answer := answers.pop(0), Exception):
            raise answer
        return answer

    monkeypatch.setattr(connection.introspection, "table_names", table_names)
    monkeypatch.setattr(rejoining, "time", SimpleNamespace(sleep=lambda seconds: None))
    with pytest.raises(CommandError, match="restore FILE --force"):
        call_command(command)
    assert not answers


def manage(folder: Path, database: str, *command: str) -> str:
    """What the command says, with another BERTH_DATA and another database."""
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=django_settings.BASE_DIR,
        env=os.environ
        | {
            "BERTH_DATA": str(folder),
            "BERTH_DATABASE_URL": database,
            "DJANGO_SUPERUSER_PASSWORD": "sesame",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.processes
def test_one_command_each_onto_an_empty_machine(tmp_path: Path) -> None:
    def on(data: str, *command: str) -> str:
        folder = tmp_path / data
        return manage(folder, f"sqlite:///{folder / 'berth.sqlite3'}", *command)

    on("old", "migrate", "--verbosity", "0")
    on("old", "createsuperuser", "--noinput", "--username", "ada", "--email", "a@example.com")
    on("old", "backup", str(tmp_path / "file"))
    on("new", "restore", str(tmp_path / "file"))
    assert '"username": "ada"' in on("new", "dumpdata", "panel.user")
    key = "secret-key"
    assert (tmp_path / "old" / key).read_text() == (tmp_path / "new" / key).read_text()


@pytest.fixture
def plain_database() -> Iterator[str]:
    """The address of a database whose owner owns neither its server nor its extensions."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no extensions")
    server = urlsplit(os.environ["BERTH_DATABASE_URL"])
    with psycopg.connect(server.geturl(), autocommit=True) as as_server:
        as_server.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
        as_server.execute("CREATE DATABASE plain OWNER plain")
        with psycopg.connect(server._replace(path="/plain").geturl(), autocommit=True) as there:
            there.execute("CREATE EXTENSION pg_trgm")
        where = server.netloc.rpartition("@")[2]
        yield server._replace(netloc=f"plain:plain@{where}", path="/plain").geturl()
        as_server.execute("DROP DATABASE plain")
        as_server.execute("DROP ROLE plain")


@pytest.mark.processes
def test_a_restore_on_postgresql_wants_no_extension_that_is_ones_own(
    plain_database: str, tmp_path: Path
) -> None:
    manage(tmp_path, plain_database, "migrate", "--verbosity", "0")
    manage(tmp_path, plain_database, "backup", str(tmp_path / "file"))
    said = manage(tmp_path, plain_database, "restore", str(tmp_path / "file"), "--force")
    assert said.startswith("Restored.")
