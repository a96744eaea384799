"""The documentation says what is: its picture, its settings, its links are held to the code."""

from __future__ import annotations

import html
import re
import shlex
import subprocess
from importlib.metadata import requires
from pathlib import Path

import pytest
from django.conf import settings

from containers.management.commands.lifecycle import graph

ROOT = Path(settings.BASE_DIR)
OPERATE = ROOT / "docs" / "operate.md"
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").glob("*.md")]
)


def test_the_picture_of_a_containers_life_shows_every_transition_and_no_other() -> None:
    """Draw it anew with: python manage.py lifecycle | dot -Tsvg > docs/lifecycle.svg"""
    picture = html.unescape((ROOT / "docs/lifecycle.svg").read_text())
    drawn = re.findall(r'class="edge">\s*<title>(\w+)->(\w+)</title>', picture)
    table = re.findall(r"^  (\w+) -> (\w+) ", "\n".join(graph()), re.M)
    assert sorted(drawn) == sorted(table)
    words = set(re.findall(r'label="([^"]+)"', "\n".join(line for line in graph() if "->" in line)))
    assert words <= set(re.findall(r"<text[^>]*>([^<]+)</text>", picture))


def test_every_setting_is_described_and_no_other() -> None:
    read = set(re.findall(r'"(BERTH_\w+)"', (ROOT / "panel/settings.py").read_text()))
    told = set(re.findall(r"^\| `(BERTH_\w+)`", OPERATE.read_text(), re.M))
    assert told == read


def names_in(lock: str) -> set[str]:
    """The packages that the text of a lock file names."""
    return set(re.findall(r"^([\w.-]+)==", lock, re.M))


def test_what_is_installed_besides_brings_all_that_it_wants() -> None:
    """On every Python, not only on that which runs the tests: with hashes, pip fetches nothing that
    is not named."""
    commands = re.findall(r"^(sed -n .+? requirements-dev\.txt) \|$", OPERATE.read_text(), re.M)
    assert len(commands) == 2
    installed = names_in((ROOT / "requirements.txt").read_text())
    for command in commands:
        done = subprocess.run(shlex.split(command), cwd=ROOT, capture_output=True, check=True)
        picked = names_in(done.stdout.decode())
        assert picked
        wanted = {
            re.split(r"[^\w.-]", line)[0].lower().replace("_", "-")
            for name in picked
            for line in requires(name) or []
            if "extra ==" not in line
        }
        assert wanted <= picked | installed


def test_every_call_to_incus_is_described_and_no_other() -> None:
    """The panel's calls as docs/nodes.md has them: `<…>` there is `{…}` in the code."""
    path = re.compile(r"/1\.0(?:/(?:\{[^}]*\}|<[^>]*>|[\w-]+))*")

    def paths(text: str) -> set[str]:
        return {re.sub(r"\{[^}]*\}|<[^>]*>", "*", found) for found in path.findall(text)}

    driver = ROOT / "containers/drivers/incus"
    asked = set().union(*(paths(module.read_text()) for module in driver.glob("*.py")))
    told = paths((ROOT / "docs/nodes.md").read_text())
    assert len(asked) > 15
    assert not [call for call in asked if not any(line.startswith(call) for line in told)]
    # What is asked of a pool is put together in the code.
    assert not [line for line in told - asked if not line.startswith("/1.0/storage-pools/*/")]


@pytest.mark.parametrize("text", PAGES, ids=lambda text: str(text.relative_to(ROOT)))
def test_no_link_leads_nowhere(text: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", text.read_text())
    assert not [link for link in links if not (text.parent / link).exists()]


@pytest.mark.parametrize("text", PAGES, ids=lambda text: str(text.relative_to(ROOT)))
def test_every_module_that_is_named_is_there(text: Path) -> None:
    """Named by its whole path, or by the end of it."""
    files = [
        f"/{path.relative_to(ROOT)}" for path in ROOT.rglob("*.py") if ".venv" not in path.parts
    ]
    named = re.findall(r"`([\w/]+\.py)`", text.read_text())
    assert not [name for name in named if not any(file.endswith(f"/{name}") for file in files)]
