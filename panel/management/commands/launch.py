"""Everything on one machine: sets up what is missing, runs the Procfile, says where to go."""

from __future__ import annotations

import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from containers.rejoining import refuse_unless_rejoined
from panel.accounts import DEMO_PASSWORD, demo_people

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Command(BaseCommand):
    help = "Migrate, make the demo where nothing is stored yet, and run all until Ctrl-C."

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_taken_port()
        refuse_unless_rejoined()
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: stop.set())
        call_command("migrate", verbosity=0, interactive=False)
        call_command("collectstatic", verbosity=0, interactive=False)
        call_command("demo", if_empty=True)
        greeting = welcome()
        connections.close_all()
        if not stop.is_set():
            self._run(stop, greeting)

    def _run(self, stop: threading.Event, greeting: str) -> None:
        """Run the Procfile until told to stop. Its processes hear of Ctrl-C from here alone."""
        processes = subprocess.Popen(
            [sys.executable, "-m", "honcho", "--env", "", "start"],
            cwd=settings.BASE_DIR,
            env=os.environ
            | {
                "BERTH_DATA": str(settings.DATA),
                "BERTH_PORT": str(settings.PORT),
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            },
            start_new_session=True,
            preexec_fn=partial(_end_with, os.getpid()) if sys.platform == "linux" else None,
        )
        while processes.poll() is None and not stop.wait(0.2):
            if greeting and web_answers():
                self.stdout.write(greeting)
                self.stdout.flush()
                greeting = ""
        if stop.is_set():
            processes.terminate()
            processes.wait()
        else:
            raise CommandError("A process ended by itself, and the others were stopped.")


def _end_with(parent: int) -> None:
    """Have this process told to stop when its parent is gone, in whatever way it went."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # gone already
        os.kill(os.getpid(), signal.SIGTERM)


def refuse_taken_port() -> None:
    """Raises CommandError where another program listens already."""
    try:
        socket.create_server(("127.0.0.1", settings.PORT)).close()
    except OSError as error:
        raise CommandError(
            f"Port {settings.PORT}: {os.strerror(error.errno or 0)}. Stop the program "
            f"that uses it, or take another: BERTH_PORT={settings.PORT + 1} make run"
        ) from error


def web_answers() -> bool:
    """Whether the web process answers at all, whatever it says."""
    connection = http.client.HTTPConnection("127.0.0.1", settings.PORT, timeout=1)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def welcome() -> str:
    """Where to go, and how to sign in."""
    lines = ["", f"Berth is running: http://127.0.0.1:{settings.PORT}"]
    people = [f"{person['username']} ({person['role']})" for person in demo_people()]
    if people:
        lines += [f"Sign in as {', '.join(people)}", f"Password of each: {DEMO_PASSWORD}"]
    return "\n".join([*lines, "Ctrl-C stops it; what it knows is kept.", ""])
