"""The two commands as an operator runs them: each in a process, on a database of its own."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from django.db import connection

pytestmark = pytest.mark.processes


def run(folder: Path, database: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Manage a panel with another BERTH_DATA and another database."""
    return subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=settings.BASE_DIR,
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


def manage(folder: Path, database: str, *command: str) -> str:
    """What the command says when it has succeeded."""
    done = run(folder, database, *command)
    assert done.returncode == 0, done.stderr
    return done.stdout


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


def test_a_damaged_database_is_told_from_a_damaged_back_up_and_restored_once_it_is_away(
    tmp_path: Path,
) -> None:
    stored, file = tmp_path / "panel" / "berth.sqlite3", str(tmp_path / "file")
    panel = stored.parent, f"sqlite:///{stored}"
    manage(*panel, "migrate", "--verbosity", "0")
    manage(*panel, "backup", file)
    stored.write_bytes(os.urandom(8192))
    refused = run(*panel, "restore", file, "--force").stderr
    assert f"The database that is here is damaged: move {stored} away" in refused
    stored.unlink()
    assert manage(*panel, "restore", file).startswith("Restored.")


def test_a_database_that_could_not_be_restored_takes_the_place_of_no_back_up(
    tmp_path: Path,
) -> None:
    stored, file = tmp_path / "panel" / "berth.sqlite3", tmp_path / "file"
    panel = stored.parent, f"sqlite:///{stored}"
    manage(*panel, "migrate", "--verbosity", "0")
    file.write_text("the back-up of yesterday")
    with closing(sqlite3.connect(stored)) as database:
        [size] = database.execute("PRAGMA page_size").fetchone()
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'containers_container'"
        [page] = database.execute(query).fetchone()
    with stored.open("r+b") as raw:
        raw.seek((page - 1) * size)
        raw.write(os.urandom(size))
    refused = run(*panel, "backup", str(file))
    assert refused.stderr.startswith("CommandError: the database is damaged: ")
    assert file.read_text() == "the back-up of yesterday"


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


def test_a_restore_on_postgresql_wants_no_extension_that_is_ones_own(
    plain_database: str, tmp_path: Path
) -> None:
    manage(tmp_path, plain_database, "migrate", "--verbosity", "0")
    manage(tmp_path, plain_database, "backup", str(tmp_path / "file"))
    said = manage(tmp_path, plain_database, "restore", str(tmp_path / "file"), "--force")
    assert said.startswith("Restored.")
