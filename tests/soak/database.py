"""A PostgreSQL server of the soak's own, that can be restarted and that can crash."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.incus_node import free_port

# What was committed has to outlive the death of the server's processes, which takes
# synchronous_commit; that of the whole machine is not tried, so fsync only costs time.
_OPTIONS = (
    "-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200 "
    "-c fsync=off -c synchronous_commit=on"
)


class Database:
    """A server on loopback; whoever starts one calls `destroy`."""

    def __init__(self) -> None:
        self._bin = max(
            Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name
        )
        self._folder = Path(tempfile.mkdtemp(prefix="berth-postgres-"))
        self._port = free_port()
        self._password = secrets.token_hex(16)
        file = self._folder / "password"
        file.write_text(self._password)
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres")
            shutil.chown(file, "postgres")
        self._run(
            "initdb", "--username", "berth", "--pwfile", str(file), "--auth", "scram-sha-256",
            "--encoding", "UTF8", "--locale", "C", "--no-sync",
        )  # fmt: skip

    @property
    def url(self) -> str:
        return f"postgres://berth:{self._password}@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        log = str(self._folder / "server.log")
        self._run(
            "pg_ctl", "--wait", "--log", log, "--options", f"{_OPTIONS} -p {self._port}", "start"
        )

    def stop(self, *, crash: bool = False) -> None:
        """Every connection is cut; with `crash` the server has no time to write anything."""
        self._run("pg_ctl", "--wait", "--mode", "immediate" if crash else "fast", "stop")

    def destroy(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop(crash=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), "--pgdata", str(self._folder / "data"), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(
            command, cwd=self._folder, check=True, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=60,
        )  # fmt: skip
