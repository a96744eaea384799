"""The way through the house: imports point one way, and the table of statuses lives once."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.conf import settings

from containers.statuses import Status

ROOT = Path(settings.BASE_DIR)
APPS = ("panel", "containers", "orders")
FORBIDDEN = {"services", "service", "utils", "util", "helpers", "mixins", "signals"}

# From the ground up: a module imports from its own floor and from those below it. What is not
# named here is a page, a command, the admin site, a task: the top of its app.
FLOORS = (
    ("panel.http", "panel.accounts", "panel.middleware", "panel.models", "containers.statuses"),
    ("containers.who",),
    ("containers.models",),
    ("containers.connect", "containers.placement"),
    ("containers.operations", "containers.observe"),
    ("orders.models",),
    ("orders.checkout",),
)
DRIVERS = "containers.drivers"


@cache
def modules() -> dict[str, Path]:
    """Every module of the project, by its dotted name."""
    found = {}
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if "migrations" not in parts:
                found[".".join(parts).removesuffix(".__init__")] = path
    return found


def statements(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports that run, at whatever depth: not those for the type checker alone."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from statements(node.orelse)
        else:
            for inner in ("body", "orelse", "finalbody", "handlers"):
                yield from statements(getattr(node, inner, []))


def imports(module: str) -> set[str]:
    """The dotted names that a module imports, those of the project as whole modules."""
    path = modules()[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in statements(ast.parse(path.read_text()).body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
            continue
        base = ".".join(package.split(".")[: len(package.split(".")) + 1 - node.level])
        origin = ".".join(part for part in (base if node.level else "", node.module) if part)
        whole = {f"{origin}.{alias.name}" for alias in node.names} & set(modules())
        found |= whole or {origin}
    return found


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def floor(module: str) -> int:
    for number, packages in enumerate(FLOORS):
        if any(is_in(module, package) for package in packages):
            return number
    return len(FLOORS)


def ours(module: str) -> set[str]:
    return {name for name in imports(module) if name.split(".")[0] in APPS}


@pytest.mark.parametrize("module", [m for m in modules() if not is_in(m, DRIVERS)])
def test_imports_point_downwards(module: str) -> None:
    upwards = {
        name for name in ours(module) if not is_in(name, DRIVERS) and floor(name) > floor(module)
    }
    assert not upwards


@pytest.mark.parametrize("module", [m for m in modules() if is_in(m, DRIVERS)])
def test_a_driver_knows_no_model_no_request_and_no_framework(module: str) -> None:
    assert not {name for name in ours(module) if not is_in(name, DRIVERS)}
    assert not {name for name in imports(module) if name.split(".")[0] in {"django", "huey"}}


@pytest.mark.parametrize("module", [m for m in modules() if not is_in(m, DRIVERS)])
def test_only_work_on_nodes_speaks_to_a_driver(module: str) -> None:
    if is_in(module, "containers.models") or is_in(module, "orders") or floor(module) < 2:
        assert not {name for name in ours(module) if is_in(name, DRIVERS)}


@pytest.mark.parametrize("module", [m for m in modules() if is_in(m, "containers")])
def test_containers_know_nothing_of_orders(module: str) -> None:
    assert not {name for name in ours(module) if is_in(name, "orders")}


@pytest.mark.parametrize("module", list(modules()))
def test_a_module_is_named_for_what_it_is_about(module: str) -> None:
    assert not FORBIDDEN & set(module.split("."))


def test_no_template_and_no_script_holds_a_second_list_of_statuses() -> None:
    quoted = re.compile(rf"""["'`]({"|".join(Status.values)})["'`]""")
    lists = {}
    for path in [*(ROOT / "templates").rglob("*.html"), *(ROOT / "static").rglob("*.js")]:
        named = set(quoted.findall(path.read_text()))
        if len(named) > 2:
            lists[path.relative_to(ROOT)] = named
    assert not lists


def test_no_template_and_no_script_decides_who_may_what() -> None:
    from containers.models import Container

    names = "|".join(Container.actions())
    by_hand = re.compile(rf"""value="({names})"|action\s*[!=]==?\s*["']({names})["']""")
    found = [
        path.relative_to(ROOT)
        for path in [*(ROOT / "templates").rglob("*.html"), *(ROOT / "static").rglob("*.js")]
        if by_hand.search(path.read_text())
    ]
    assert not found
