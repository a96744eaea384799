"""Real Incus daemons for tests: each in a folder of its own, on loopback, gone at the end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PROJECT = "berth"
IMAGE = "busybox"
ROOT = Path(__file__).resolve().parent.parent
_PREPARE = ROOT / "deploy" / "incus-node"
_DAEMON = Path("/usr/libexec/incus/incusd")
_SECONDS = 60


class IncusNode:
    """One daemon, prepared by `deploy/incus-node`. Whoever makes one calls `destroy`."""

    def __init__(self) -> None:
        # The paths of sockets are short: pytest's own folders may be too long.
        self.folder = Path(tempfile.mkdtemp(prefix="berth-incus-"))
        self.port = free_port()
        self._paused: list[int] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def socket(self) -> str:
        return str(self.folder / "unix.socket")

    def prepare(self) -> str:
        """Start it, or start it again; returns a join token."""
        command = [_PREPARE, "--dir", self.folder, "--address", self.address]
        command += ["--network", "none", "--test-image"]
        return self._run(*map(str, command)).strip()

    def incus(self, *arguments: str, typed: str = "") -> str:
        """What Incus' own client says."""
        return self._run("incus", *arguments, typed=typed)

    def query(self, path: str) -> Any:
        """What the server itself says, asked by its own client."""
        return json.loads(self.incus("query", path))

    def has(self, name: str, project: str = PROJECT) -> bool:
        listed = self.query(f"/1.0/instances?project={project}")
        return name in {url.partition("?")[0].rpartition("/")[2] for url in listed}

    def make_by_hand(self, name: str, *arguments: str) -> None:
        """A container in the panel's project, with limits, made with Incus' own client."""
        limits = ["-c=limits.cpu=1", "-c=limits.memory=128MiB", "-d=root,size=1GiB"]
        self.incus("init", IMAGE, name, f"--project={PROJECT}", *limits, *arguments)

    def start(self) -> None:
        """The daemon alone, as it was left."""
        subprocess.Popen(
            [_DAEMON, "--group", "root"],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.incus("admin", "waitready", "--timeout", str(_SECONDS))

    @property
    def is_up(self) -> bool:
        """Whether its daemon runs."""
        return bool(self._daemons())

    def kill(self) -> None:
        """SIGKILL to the daemon; its containers are processes of their own and run on."""

        def is_dead() -> bool:
            # Again and again: what it forks in this very moment holds its port.
            for pid in self._daemons():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not self._daemons()

        wait_until(is_dead)

    def pause(self) -> None:
        """From now on it takes connections and never answers."""
        self._paused = self._daemons()
        assert self._paused
        for pid in self._paused:
            os.kill(pid, signal.SIGSTOP)
        # One that is busy answers some question yet.
        wait_until(lambda: all(_is_stopped(pid) for pid in self._paused))

    def resume(self) -> None:
        for pid in self._paused:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._paused = []

    def destroy(self) -> None:
        """Containers, daemon, monitors, mounts and files: nothing is left, whatever happened."""
        self.resume()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.processes())
        for mount in sorted(self._mounts(), reverse=True):
            subprocess.run(["umount", "--lazy", mount], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, *command: str, typed: str = "") -> str:
        done = subprocess.run(
            command,
            env=self._environment(),
            input=typed,
            capture_output=True,
            text=True,
            timeout=_SECONDS * 2,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "INCUS_DIR": str(self.folder), "INCUS_CONF": str(self.folder / "cli")}

    def _daemons(self) -> list[int]:
        return [pid for pid in self.processes() if _words(pid)[1:2] == ["--group"]]

    def processes(self) -> list[int]:
        """The daemon, what it started, and what runs in its containers."""
        own = f"INCUS_DIR={self.folder}".encode()
        parents: dict[int, int] = {}
        found = set()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                pid = int(entry.name)
                status = (entry / "status").read_text()
                parents[pid] = int(status.partition("PPid:")[2].split()[0])
                if "State:\tZ" in status or pid == os.getpid():
                    continue
                environment = (entry / "environ").read_bytes().split(b"\0")
                if own in environment or str(self.folder) in " ".join(_words(pid)):
                    found.add(pid)
        more = True
        while more:
            inner = {pid for pid, parent in parents.items() if parent in found} - found
            found |= inner
            more = bool(inner)
        return sorted(found)

    def _mounts(self) -> list[str]:
        lines = Path("/proc/self/mounts").read_text().splitlines()
        return [line.split()[1] for line in lines if line.split()[1].startswith(str(self.folder))]


@contextlib.contextmanager
def daemons(count: int) -> Iterator[list[IncusNode]]:
    """So many folders for daemons; whatever runs in them at the end is no more."""
    require_incus()
    made = [IncusNode() for _ in range(count)]
    try:
        yield made
    finally:
        for node in made:
            node.destroy()


def make_cluster(first: IncusNode, second: IncusNode) -> str:
    """Make them `node1` and `node2` of a cluster; returns a join token."""
    first.prepare()
    first.incus("config", "set", f"cluster.https_address={first.address}")
    first.incus("cluster", "enable", "node1")
    first.incus("config", "set", "cluster.offline_threshold=11")
    token = first.incus("cluster", "add", "node2").split()[-1]
    pool = {"entity": "storage-pool", "name": "default", "key": "source", "value": ""}
    member = {
        "enabled": True,
        "server_name": "node2",
        "server_address": second.address,
        "cluster_token": token,
        "member_config": [pool],
    }
    second.start()
    second.incus("admin", "init", "--preseed", typed=json.dumps({"cluster": member}))
    return first.prepare()


def require_incus() -> None:
    """Skip where Incus cannot run; where the tests must all run, that is a failure."""
    missing = [
        what
        for what, there in (
            ("root", os.geteuid() == 0),
            ("incus-base", _DAEMON.exists()),
            ("incus-client", shutil.which("incus")),
            ("busybox-static", shutil.which("busybox")),
        )
        if not there
    ]
    if missing:
        reason = f"real nodes need {', '.join(missing)}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def wait_until(true: Callable[[], bool], seconds: float = 300) -> None:
    """Wait for it, but not for ever."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.05)


def _is_stopped(pid: int) -> bool:
    """Whether no thread of it runs any more."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return all("State:\tT" in (thread / "status").read_text() for thread in threads)


def _words(pid: int) -> list[str]:
    """The command line of a process; none of one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []
