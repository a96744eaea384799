"""The README's commands, run as it gives them, in a copy of the tree."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
RUN, TEST = "make run", "make test"
# In seconds. A busy machine starts a panel slowly.
PATIENCE = 300

pytestmark = [pytest.mark.processes, pytest.mark.readme]


def commands() -> list[str]:
    """What the README's shell blocks say, line by line."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line]


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for it, but not for ever."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"still not: {what}"
        time.sleep(0.05)


@dataclass
class Clone:
    """The project as somebody else gets it, but for the virtual environment, which is ours."""

    folder: Path
    data: Path
    port: int
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: text for name, text in os.environ.items() if name[:6] != "BERTH_"}
        # As a shell has them: this process is itself a child of make.
        for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "DJANGO_SETTINGS_MODULE"):
            inherited.pop(name, None)
        return inherited | {"BERTH_DATA": str(self.data), "BERTH_PORT": str(self.port)}

    def start(self, command: str) -> Running:
        said = self.folder / "output"
        with said.open("w") as output:
            process = subprocess.Popen(
                command.split(), cwd=self.folder, env=self.environment, start_new_session=True,
                stdout=output, stderr=output,
            )  # fmt: skip
        self.running.append(process)
        return Running(self, process, said)

    def processes(self) -> list[str]:
        """Whoever still works on this clone's data."""
        mark = f"BERTH_DATA={self.data}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return found


@dataclass
class Running:
    clone: Clone
    process: subprocess.Popen[bytes]
    output: Path

    @property
    def said(self) -> str:
        return self.output.read_text()

    def wait_for_the_greeting(self) -> None:
        until(lambda: "Ctrl-C" in self.said or self.process.poll() is not None, self.said)
        assert self.process.poll() is None, self.said

    def get(self, path: str) -> str:
        address = f"http://127.0.0.1:{self.clone.port}{path}"
        with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
            assert answer.status == 200
            text: str = answer.read().decode()
        return text

    def press_ctrl_c(self) -> int:
        """As a terminal does it: the whole group gets the signal."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(PATIENCE)


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    if Path(sys.prefix).resolve() != VENV.resolve():
        if "CI" not in os.environ:
            pytest.skip("it needs .venv: run it by make test")
        pytest.fail(f"under CI the tests run in {VENV}")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    folder = tmp_path / "berth"
    for name in filter(None, found.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(VENV)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    clone = Clone(folder, tmp_path / "data", port)
    yield clone
    for process in clone.running:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE)


def test_it_gives_two_commands_for_a_start() -> None:
    assert commands() == [RUN, TEST]


@pytest.mark.parametrize("command", commands())
def test_make_knows_the_command(command: str, clone: Clone) -> None:
    subprocess.run([*command.split(), "--dry-run"], cwd=clone.folder, check=True)


def test_the_panel_starts_says_how_to_sign_in_and_stops_on_ctrl_c(clone: Clone) -> None:
    panel = clone.start(RUN)
    panel.wait_for_the_greeting()
    assert f"http://127.0.0.1:{clone.port}" in panel.said
    for person in ("admin", "staff", "lena", "omar"):
        assert person in panel.said
    assert "berth-demo" in panel.said
    panel.get("/healthz")
    assert "berth-demo" in panel.get("/account/login/")

    assert panel.press_ctrl_c() in {0, -signal.SIGINT}
    assert "Traceback" not in panel.said
    assert not clone.processes()
    socket.create_server(("127.0.0.1", clone.port)).close()


def test_a_second_run_keeps_what_there_is(clone: Clone) -> None:
    first = clone.start(RUN)
    first.wait_for_the_greeting()
    first.press_ctrl_c()
    with closing(sqlite3.connect(clone.data / "berth.sqlite3")) as database, database:
        database.execute("UPDATE panel_user SET last_name = 'Weber' WHERE username = 'lena'")
        people = database.execute("SELECT count(*) FROM panel_user").fetchone()

    second = clone.start(RUN)
    second.wait_for_the_greeting()
    assert "A demo was made" not in second.said
    second.press_ctrl_c()
    with closing(sqlite3.connect(clone.data / "berth.sqlite3")) as database:
        name = "SELECT last_name FROM panel_user WHERE username = 'lena'"
        assert database.execute(name).fetchone() == ("Weber",)
        assert database.execute("SELECT count(*) FROM panel_user").fetchone() == people


def test_a_port_that_is_taken_is_said_before_anything_starts(clone: Clone) -> None:
    with socket.create_server(("127.0.0.1", clone.port)):
        panel = clone.start(RUN)
        assert panel.process.wait(PATIENCE) != 0
    assert f"Port {clone.port}: Address already in use" in panel.said
    assert "Traceback" not in panel.said
    assert not (clone.data / "berth.sqlite3").exists()
