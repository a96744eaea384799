"""The short form of `make soak`: a minute in which everything is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.incus_node import ROOT, require_incus


@pytest.mark.processes
def test_nothing_is_lost_done_twice_or_stuck(tmp_path: Path) -> None:
    require_incus()
    report = tmp_path / "soak.md"
    command = [sys.executable, "-m", "tests.soak", "--short", "--report", str(report)]
    plain = {name: text for name, text in os.environ.items() if name[:6] != "BERTH_"}
    done = subprocess.run(
        command, cwd=ROOT, env=plain, check=False, timeout=400, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sys.stdout.write(report.read_text())
