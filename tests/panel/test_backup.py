"""One file holds the panel, and puts it back as a whole or not at all."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import signal
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from pytest_django import Settings

from panel import backup
from panel.models import User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def keys(settings: Settings, tmp_path: Path) -> None:
    settings.INCUS_IDENTITY.write_text("the panel's key")
    (tmp_path / "secret-key").write_text("sesame")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "berth.tar.gz"


def test_the_keys_come_back_with_the_rest(file: Path, tmp_path: Path) -> None:
    call_command("backup", file)
    for key in ("secret-key", "incus.pem"):
        (tmp_path / key).unlink()
    call_command("restore", file, force=True)
    assert (tmp_path / "secret-key").read_text() == "sesame"
    assert (tmp_path / "incus.pem").read_text() == "the panel's key"
    for key in ("secret-key", "incus.pem"):
        assert (tmp_path / key).stat().st_mode & 0o777 == 0o600, "for its owner alone"


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


def test_a_back_up_for_which_the_disk_is_too_small_leaves_nothing_lying_about_either(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(backup, "_add", full)
    there = set(file.parent.iterdir())
    with pytest.raises(CommandError):
        call_command("backup", file)
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


@pytest.mark.parametrize(
    "part",
    [
        lambda whole: whole[:-2000],
        lambda whole: whole[:-4] + b"else",
        lambda whole: whole[:10] + b"\xff" + whole[11:],
    ],
)
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
    quarter = len(database) // 4
    return database[:quarter] + bytes(quarter) + database[2 * quarter :]


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
    file.write_bytes(gzip.compress(b"not a tar either"))
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
