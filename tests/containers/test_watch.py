"""The watcher's process: nothing that goes wrong ends it, and a signal ends it at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.db import OperationalError

from containers import operations
from containers.management.commands import watch
from containers.observe import Watcher
from panel.outage import OutageLog


@pytest.fixture
def beats(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the watcher did, without a pause in between."""
    done: list[str] = []
    monkeypatch.setattr(watch, "BEAT", 0.0)
    monkeypatch.setattr(watch, "_outage", OutageLog(watch.logger, watch.CONSEQUENCE, calm=5))
    monkeypatch.setattr(Watcher, "ask", lambda self: done.append("ask"))
    monkeypatch.setattr(Watcher, "collect", lambda self, *, seconds: done.append("collect"))
    return done


def sweeping(beats: list[str], *, stop: threading.Event, after: int) -> Callable[[], None]:
    """A sweep that fails in every way there is, and stops the watcher in the end."""
    failures = [OperationalError("server closed the connection"), ValueError("nobody knows why")]

    def sweep() -> None:
        beats.append("sweep")
        if beats.count("sweep") == after:
            stop.set()
        raise failures[beats.count("sweep") % 2]

    return sweep


def test_nothing_that_goes_wrong_ends_it(
    beats: list[str], monkeypatch: pytest.MonkeyPatch, transactional_db: None
) -> None:
    stop = threading.Event()
    monkeypatch.setattr(operations, "sweep", sweeping(beats, stop=stop, after=4))
    watch.watch(stop)
    assert beats.count("collect") == beats.count("sweep") == 4


def test_an_outage_is_logged_once_and_not_at_every_beat(
    beats: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    transactional_db: None,
) -> None:
    stop = threading.Event()
    monkeypatch.setattr(operations, "sweep", sweeping(beats, stop=stop, after=6))
    watch.watch(stop)
    assert [words for words in caplog.messages if "database" in words] == [
        "the database cannot be used (server closed the connection); "
        "the watcher goes on as soon as it is back"
    ]


def test_a_look_that_fails_keeps_nobody_from_sweeping(
    beats: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()

    def ask(self: Watcher) -> None:
        raise ValueError("no such node")

    monkeypatch.setattr(Watcher, "ask", ask)
    monkeypatch.setattr(operations, "sweep", sweeping(beats, stop=stop, after=2))
    watch.watch(stop)
    assert beats.count("sweep") == 2


# For how many seconds a watcher would wait for a node that hangs.
NODE_TIMEOUT = 120


@pytest.mark.processes
def test_a_signal_ends_it_at_once_whatever_a_node_does(tmp_path: Path) -> None:
    environment = {name: text for name, text in os.environ.items() if name[:6] != "BERTH_"}
    environment |= {"BERTH_DATA": str(tmp_path), "BERTH_NODE_TIMEOUT": str(NODE_TIMEOUT)}

    def command(*words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "manage.py", *words], cwd=settings.BASE_DIR, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    for words in (["migrate", "-v0"], ["demo"], ["faults", "fsn-1", "--hanging"]):
        assert command(*words).wait(300) == 0
    watchers = {number: command("watch") for number in (signal.SIGTERM, signal.SIGINT)}
    for number, process in watchers.items():
        assert process.stdout is not None
        assert b"looking" in process.stdout.readline()
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(number)
    for process in watchers.values():
        said, _ = process.communicate(timeout=NODE_TIMEOUT / 2)
        assert process.returncode == 0
        assert b"Traceback" not in said
