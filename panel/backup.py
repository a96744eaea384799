"""Everything that the panel knows in one file, consistent while it runs, and back out of it.

What lives on nodes is not in it: the watcher asks them again. Simulated nodes count as nodes.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import DatabaseError, Error, OperationalError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Model
from django.utils import timezone

from containers.ids import last_given, reserving
from containers.models import Container, Node
from containers.rejoining import MARK
from panel.models import User

FORMAT = 1
ABOUT = "about.json"
DATABASE = "database"
KEY, IDENTITY = "secret-key", "incus.pem"
_LEAVE_MARK = f"CREATE TABLE IF NOT EXISTS {MARK} (id integer)"


class CannotRestore(Exception):
    """Nothing was changed; the text says why."""


def write(file: Path) -> None:
    """Make a back-up, readable by nobody else: database, secret key, the key for the nodes.

    The database is as it was at one moment. A key that comes out of the environment is kept
    where it comes from. Raises OSError, CalledProcessError where pg_dump fails, and DatabaseError
    where SQLite would not take it back.
    """
    about = {
        "format": FORMAT,
        "made": timezone.now().isoformat(),
        "database": connection.vendor,
        "migrations": sorted(MigrationRecorder(connection).applied_migrations()),
    }
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        snapshot = Path(folder) / DATABASE
        _DUMP[connection.vendor](snapshot)
        try:
            with (
                os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out,
                tarfile.open(fileobj=out, mode="w:gz", compresslevel=3) as archive,
            ):
                _add(archive, ABOUT, json.dumps(about).encode())
                archive.add(snapshot, DATABASE)
                for name, kept in _keys().items():
                    if kept.exists():
                        _add(archive, name, kept.read_bytes())
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)


def restore(file: Path, *numbered: type[Model], force: bool = False) -> None:
    """Put back what `write` has kept; what is stored here is lost, and only with `force`.

    The database is replaced as a whole or not at all, and the keys after it. Containers, and rows
    of the models named, get no id that the one before has given. It still has to be migrated, and
    to be made safe by `rejoining`: until then no worker or watcher starts on it.
    Raises CannotRestore and OSError.
    """
    if not force and _is_in_use():
        raise CannotRestore("Something is stored here already; --force throws it away.")
    with _opened(file) as archive:
        try:
            _refuse_what_does_not_fit(json.loads(_member(archive, ABOUT).read()))
        except (ValueError, TypeError, LookupError) as error:
            raise CannotRestore(f"{file} is damaged: {ABOUT} cannot be read ({error!r})") from error
        there = set(archive.getnames())
        keys = {
            kept: _member(archive, name).read() for name, kept in _keys().items() if name in there
        }
        with (
            _drafts(keys) as drafts,
            tempfile.TemporaryDirectory(dir=settings.DATA) as folder,
        ):
            snapshot = Path(folder) / DATABASE
            with snapshot.open("wb") as out:
                shutil.copyfileobj(_member(archive, DATABASE), out)
            _LOAD[connection.vendor](snapshot, [_LEAVE_MARK, *_keep_numbers(Container, *numbered)])
            for kept, draft in drafts.items():
                draft.replace(kept)


def _keys() -> dict[str, Path]:
    return {KEY: settings.DATA / KEY, IDENTITY: settings.INCUS_IDENTITY}


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    archive.addfile(member, io.BytesIO(content))


def _opened(file: Path) -> tarfile.TarFile:
    try:
        with gzip.open(file) as whole:
            # Its checksum stands at the end.
            while whole.read(2**20):
                pass
        return tarfile.open(file)
    except (EOFError, zlib.error) as error:
        raise CannotRestore(f"{file} is damaged: {error}") from error
    except (OSError, tarfile.TarError) as error:
        raise CannotRestore(f"{file} cannot be read as a back-up: {error}") from error


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    try:
        found = archive.extractfile(name)
    except KeyError:
        found = None
    if found is None:
        raise CannotRestore(f"This is no back-up of Berth: there is no {name} in it.")
    return found


@contextmanager
def _drafts(keys: Mapping[Path, bytes]) -> Iterator[dict[Path, Path]]:
    """The keys, written into files beside their places, which are only to be renamed then."""
    drafts = {kept: kept.with_name(f".{kept.name}.{os.getpid()}") for kept in keys}
    try:
        for kept, draft in drafts.items():
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            with os.fdopen(os.open(draft, flags, 0o600), "wb") as out:
                out.write(keys[kept])
        yield drafts
    finally:
        for draft in drafts.values():
            with suppress(OSError):
                draft.unlink()


def _is_in_use() -> bool:
    try:
        return any(model._default_manager.exists() for model in (User, Node, Container))
    except Error:
        return False  # there are no tables


def _keep_numbers(*models: type[Model]) -> list[str]:
    try:
        given = {model: last_given(model) for model in models}
    except Error:
        return []  # there are no tables
    return [statement for model in models for statement in reserving(model, given[model])]


def _refuse_what_does_not_fit(about: dict[str, Any]) -> None:
    if about["format"] != FORMAT:
        raise CannotRestore("The back-up was made by another release: restore it with that one.")
    if about["database"] != connection.vendor:
        raise CannotRestore(
            f"The back-up is of {about['database']}, and BERTH_DATABASE_URL names "
            f"{connection.vendor}."
        )
    known = set(MigrationLoader(None).disk_migrations)
    if unknown := {(app, name) for app, name in about["migrations"]} - known:
        raise CannotRestore(
            "The back-up was made by a newer release: restore it with that one. "
            f"Unknown here: {', '.join(sorted(f'{app}.{name}' for app, name in unknown))}."
        )


def _dump_sqlite(snapshot: Path) -> None:
    connection.ensure_connection()
    with closing(sqlite3.connect(snapshot)) as kept:
        connection.connection.backup(kept)
        if flaw := _flaw(kept):
            raise DatabaseError(f"the database is damaged: {flaw}")


def _load_sqlite(snapshot: Path, then: Iterable[str]) -> None:
    """In one transaction, which SQLite rolls back if it is cut off."""
    try:
        connection.ensure_connection()
    except OperationalError:
        raise
    except DatabaseError as error:
        stored = connection.settings_dict["NAME"]
        raise CannotRestore(
            f"The database that is here is damaged: move {stored} away, with what there is of "
            f"{stored}-wal and {stored}-shm, and restore again. ({error})"
        ) from error
    with closing(sqlite3.connect(snapshot)) as kept:
        if not (flaw := _flaw(kept)):
            try:
                for statement in then:
                    kept.execute(statement)
                kept.commit()
                kept.backup(connection.connection)
            except sqlite3.Error as error:
                flaw = str(error)
    if flaw:
        raise CannotRestore(f"SQLite does not take the database in the back-up: {flaw}")


def _flaw(database: sqlite3.Connection) -> str:
    """What is damaged in it; "" where nothing is."""
    try:
        [verdict] = database.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return "" if verdict == "ok" else str(verdict)


def _dump_postgres(snapshot: Path) -> None:
    _postgres("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={snapshot}")


def _load_postgres(snapshot: Path, then: Iterable[str]) -> None:
    """Drops every table that is there, newer ones too, and restores, in one transaction: pg_restore
    alone cannot do both."""
    leave, come, last = (snapshot.with_name(f"{step}.sql") for step in ("drop", "restore", "then"))
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
    names = [connection.ops.quote_name(table) for table in tables]
    leave.write_text("".join(f"DROP TABLE {name} CASCADE;\n" for name in names))
    # A dump ends without a search path.
    last.write_text("".join(f"{statement};\n" for statement in ("RESET search_path", *then)))
    try:
        # Into a file first: psql would keep the first half of a dump that breaks off. Comments may
        # be on what somebody else owns, as the extension.
        _run(
            "pg_restore", "--no-owner", "--no-privileges", "--no-comments", f"--file={come}",
            str(snapshot),
        )  # fmt: skip
        _postgres(
            "psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1",
            f"--file={leave}", f"--file={come}", f"--file={last}",
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        raise CannotRestore(f"PostgreSQL does not take the back-up: {error.stderr}") from error


def _postgres(program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's own programs on the panel's database, its password unseen."""
    known = connection.settings_dict
    [_, *where, name], environment = connection.client.settings_to_cmd_args_env(known, [])
    _run(program, *where, f"--dbname={name}", *arguments, **(environment or {}))


def _run(program: str, *arguments: str, **environment: str) -> None:
    subprocess.run(  # noqa: S603  # no shell, and nothing that anybody typed
        [program, *arguments],
        env=os.environ | environment,
        check=True,
        capture_output=True,
        text=True,
    )


_DUMP = {"sqlite": _dump_sqlite, "postgresql": _dump_postgres}
_LOAD = {"sqlite": _load_sqlite, "postgresql": _load_postgres}
