"""Long forms only when they are asked for, and one way to show figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

import pytest
from django.conf import settings

Figures = Callable[..., None]

_TABLES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TABLES] = []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if _at_length(config):
        return
    long = [item for item in items if item.get_closest_marker("bench")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


@pytest.fixture
def figures(pytestconfig: pytest.Config) -> Figures:
    """`figures(title, headings, rows, note="")`: a table, shown at the end of the run."""

    def show(
        title: str, headings: Iterable[str], rows: Iterable[Iterable[object]], note: str = ""
    ) -> None:
        pytestconfig.stash[_TABLES].append("\n".join(_table(title, headings, rows, note)))

    return show


def _table(
    title: str, headings: Iterable[str], rows: Iterable[Iterable[object]], note: str
) -> Iterator[str]:
    lines = [list(headings), *(list(map(_cell, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    yield f"## {title}\n"
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        yield f"| {' | '.join(cells)} |"
    yield f"\n{note}\n" if note else ""


def _cell(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if not (tables := config.stash[_TABLES]):
        return
    terminalreporter.section("figures")
    terminalreporter.line("\n".join(tables))
    if _at_length(config):
        with (settings.BASE_DIR / "bench-results.md").open("a") as kept:
            kept.write("\n".join([f"# {datetime.now():%Y-%m-%d %H:%M}\n", *tables, ""]))


def _at_length(config: pytest.Config) -> bool:
    return "bench" in config.option.markexpr
