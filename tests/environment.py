"""The settings as they would be under another environment."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

SETTINGS = Path(settings.BASE_DIR) / "panel" / "settings.py"


def read_settings(
    monkeypatch: pytest.MonkeyPatch, data: Path, **environment: str
) -> dict[str, Any]:
    """What the settings would be under this environment."""
    for name, value in {"BERTH_DATA": str(data), **environment}.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(SETTINGS))
