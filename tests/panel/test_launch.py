"""Nothing of what `launch` starts outlives it, whichever way it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from tests.incus_node import free_port, wait_until

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a parent that is gone"),
]


def started_with(data: Path) -> list[str]:
    """The processes that have this BERTH_DATA, and what they are."""
    mark, found = f"BERTH_DATA={data}\0".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it has ended meanwhile
    return found


def test_a_launch_that_is_killed_leaves_nothing_running(tmp_path: Path) -> None:
    environment = os.environ | {"BERTH_DATA": str(tmp_path), "BERTH_PORT": str(free_port())}
    for inherited in ("BERTH_DATABASE_URL", "BERTH_QUEUE_URL", "DJANGO_SETTINGS_MODULE"):
        environment.pop(inherited, None)
    launch = subprocess.Popen(
        [sys.executable, "manage.py", "launch"], cwd=settings.BASE_DIR, env=environment
    )
    try:
        for part in ("gunicorn", "run_huey", "watch"):
            wait_until(lambda: any(part in each for each in started_with(tmp_path)))  # noqa: B023
    finally:
        launch.kill()
        launch.wait()
    wait_until(lambda: not started_with(tmp_path))
