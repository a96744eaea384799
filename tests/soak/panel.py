"""The panel in processes of its own, on SQLite unless it is told otherwise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.incus_node import ROOT, free_port, wait_until
from tests.soak.people import Browser, Experience

PATIENCE = 40.0
WEB = ("-m", "gunicorn", "panel.wsgi", "--workers", "1")


@dataclass
class Panel:
    """Web, worker and watcher, which keep everything in `data`; `makes` is what is run once to
    put something into it: the demo, or a module of the tests."""

    data: Path
    environment: dict[str, str]
    makes: tuple[str, ...] = ("manage.py", "demo")
    port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self) -> None:
        for words in (("migrate", "-v0"), ("collectstatic", "-v0", "--no-input")):
            subprocess.run(self._manage(*words), cwd=ROOT, env=self._environment, check=True)
        made = (sys.executable, *self.makes)
        subprocess.run(made, cwd=ROOT, env=self._environment, check=True)
        self.run_all()
        self.browser = Browser(f"http://127.0.0.1:{self.port}", "admin", Experience())
        self.browser.sign_in()

    def run_all(self) -> None:
        self.run("web", sys.executable, *WEB, "--bind", f"127.0.0.1:{self.port}")
        self.run("worker", *self._manage("run_huey"))
        self.run("watcher", *self._manage("watch"))
        wait_until(lambda: self.page("/account/login/").status_code > 0, PATIENCE)

    def run(self, name: str, *command: str) -> None:
        with self.log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self, *names: str) -> None:
        for name in names or tuple(self.processes):
            with suppress(ProcessLookupError):
                os.killpg(self.processes[name].pid, signal.SIGKILL)
            self.processes[name].wait(10)

    def restart_worker(self) -> None:
        self.stop("worker")
        self.run("worker", *self._manage("run_huey"))

    def log(self, name: str) -> Path:
        return self.data.parent / f"{name}.log"

    def says(self, name: str, words: str) -> int:
        """How many lines of a process' log hold these words."""
        return sum(words in line for line in self.log(name).read_text().splitlines())

    def page(self, path: str) -> httpx.Response:
        with suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=30)
        return httpx.Response(0)  # nobody answers

    def start_a_container(self) -> httpx.Response | None:
        """Press Start on the container that is stopped."""
        found = self.browser.rows("?status=stopped")
        assert found, "nothing is stopped in the demo"
        self.chosen = found[0].pk
        return self.browser.post(f"/containers/{self.chosen}/act/", action="start")

    def runs(self) -> bool:
        """Whether that container runs by now."""
        return 'data-status="running"' in self.browser.get(f"/containers/{self.chosen}/")

    def _manage(self, *words: str) -> tuple[str, ...]:
        return (sys.executable, "manage.py", *words)

    @property
    def _environment(self) -> dict[str, str]:
        plain = {name: text for name, text in os.environ.items() if name[:6] != "BERTH_"}
        plain.pop("DJANGO_SETTINGS_MODULE", None)
        return plain | {
            "BERTH_DATA": str(self.data),
            "BERTH_PORT": str(self.port),
            "BERTH_LEASE": "3",
            "BERTH_WATCH_EVERY": "1",
            # All people come from one address here, and are in a hurry.
            "BERTH_SIGN_IN_TRIES": "0",
            "BERTH_ASKED_A_MINUTE": "0",
            "BERTH_UNPAID_ORDERS": "0",
            **self.environment,
        }
