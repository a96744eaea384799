"""What web has loaded stays out of the way of those who ask."""

from __future__ import annotations

import subprocess
import sys

from tests.incus_node import ROOT

LOOK = """
import gc, sys
import panel.wsgi
assert "containers.views.listing" in sys.modules, "pages are loaded when they are first asked for"
assert gc.get_freeze_count() > 10 * len(gc.get_objects()), "garbage is looked for in all of it"
"""


def test_all_pages_are_loaded_and_not_looked_through_for_garbage() -> None:
    asked = subprocess.run(
        [sys.executable, "-c", LOOK], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stderr
