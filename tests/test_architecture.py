"""The architecture: imports point one way, and the table of statuses lives once."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from django.conf import settings

from containers.statuses import Status

ROOT = Path(settings.BASE_DIR)
APPS = ("panel", "containers", "orders")
FORBIDDEN = {"services", "service", "utils", "util", "helpers", "mixins", "signals"}

# From the ground up: a module imports from its own floor and from those below it. Between the
# models and the pages lies what is done: operations, observe, placement and their neighbours.
GROUND = (
    "panel.http", "panel.compiled", "panel.accounts", "panel.mail", "panel.models",
    "containers.statuses", "containers.who", "orders.currencies",
)  # fmt: skip
MODELS = ("containers.models", "orders.models")
PAGES = {"urls", "views", "admin", "tasks", "management", "forms", "filters", "templatetags"}
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


def statements(
    body: list[ast.stmt], *, at_once: bool = False
) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports that run, at whatever depth: not those for the type checker alone. With
    `at_once`, only those that run when the module is itself imported."""
    for node in body:
        if at_once and isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from statements(node.orelse, at_once=at_once)
        else:
            for inner in ("body", "orelse", "finalbody", "handlers"):
                yield from statements(getattr(node, inner, []), at_once=at_once)


def imports(module: str, *, at_once: bool = False) -> set[str]:
    """The dotted names that a module imports, those of the project as whole modules."""
    path = modules()[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in statements(ast.parse(path.read_text()).body, at_once=at_once):
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
    if any(is_in(module, package) for package in GROUND):
        return 0
    if any(is_in(module, package) for package in MODELS):
        return 1
    return 3 if PAGES & set(module.split(".")) else 2


def ours(module: str, *, at_once: bool = False) -> set[str]:
    return {name for name in imports(module, at_once=at_once) if name.split(".")[0] in APPS}


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


@pytest.mark.parametrize("module", [m for m in modules() if floor(m) < 2])
def test_a_model_knows_no_driver(module: str) -> None:
    assert not {name for name in ours(module) if is_in(name, DRIVERS)}


def test_no_module_imports_itself_by_way_of_others() -> None:
    TopologicalSorter({module: ours(module, at_once=True) for module in modules()}).prepare()


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


def test_whatever_polls_makes_up_for_what_a_hidden_tab_left_out() -> None:
    """live.js sends `refresh` to each poll for that; one that does not listen stays as it was."""
    polls = {
        str(path.relative_to(ROOT)): tag
        for path in (ROOT / "templates").rglob("*.html")
        for tag in re.findall(r"<\w+[^>]*\bdata-poll\b[^>]*>", path.read_text())
    }
    assert len(polls) > 5
    assert not [path for path, tag in polls.items() if not re.search(r"trigger=.*, refresh\"", tag)]
