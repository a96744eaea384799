"""What lies in deploy/ goes with the panel: its alerts, its dashboard, its units, its image."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from huey.contrib.djhuey import HUEY
from pytest_django import Settings

from containers.models import Container, Node, Operation
from panel.models import User
from tests.conftest import Worker
from tests.containers.acts import ask_and_wait

ROOT = Path(settings.BASE_DIR)
DEPLOY = ROOT / "deploy"
UNITS = DEPLOY / "systemd"
COMPOSE = DEPLOY / "compose" / "compose.yml"
INSTALL = ROOT / "docs" / "install.md"


@pytest.fixture
def metrics(
    container: Container,
    ada: User,
    worker: Worker,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> set[str]:
    """The names of everything that /metrics tells."""
    settings.METRICS_TOKEN = "sesame"
    monkeypatch.setattr(HUEY, "pending_count", lambda: 0)
    ask_and_wait(container, "start", worker, ada)
    Node.objects.update(latency_ms=3)
    assert Operation.objects.exists()
    told = Client(headers={"Authorization": "Bearer sesame"}).get("/metrics").content.decode()
    return set(re.findall(r"^(\w+)[{ ]", told, re.M))


@pytest.mark.django_db
def test_every_alert_is_about_something_that_is_told(metrics: set[str]) -> None:
    rules = (DEPLOY / "prometheus-alerts.yml").read_text()
    named = set(re.findall(r"\bberth_\w+", rules))
    assert len(named) > 8
    assert named <= metrics


def test_a_node_that_is_away_alarms_only_where_it_is_missed() -> None:
    rules = (DEPLOY / "prometheus-alerts.yml").read_text()
    [alarm] = re.findall(r"alert: BerthNodeOffline\n.*?expr: ([^\n]*)", rules, re.DOTALL)
    python = re.sub(r"\bberth_node_(\w+)", r"\1", alarm)
    cases = {
        (up, in_service, containers): eval(
            python, {"up": up, "in_service": in_service, "containers": containers}
        )
        for up in (0, 1) for in_service in (0, 1) for containers in (0, 3)
    }  # fmt: skip
    assert {case for case, alarms in cases.items() if alarms} == {(0, 1, 0), (0, 0, 3), (0, 1, 3)}


@pytest.mark.django_db
def test_every_chart_is_about_something_that_is_told(metrics: set[str]) -> None:
    panels = json.loads((DEPLOY / "grafana-dashboard.json").read_text())["panels"]
    for panel in panels:
        named = {
            name
            for target in panel["targets"]
            for name in re.findall(r"\bberth_\w+", target["expr"])
        }
        assert named
        assert named <= metrics


@pytest.mark.django_db
def test_every_metric_is_explained(metrics: set[str]) -> None:
    explained = set(re.findall(r"`(berth_\w+)`", (ROOT / "docs/monitoring.md").read_text()))
    series = {re.sub(r"_(bucket|count|sum)$", "", name) for name in metrics} - {"berth_operation"}
    assert series == explained


def test_units_and_compose_run_what_the_procfile_runs() -> None:
    for line in (ROOT / "Procfile").read_text().splitlines():
        name, command = re.fullmatch(r"(\w+): exec (.*)", line).groups()  # type: ignore[union-attr]
        what = re.sub(r" --bind \S+", "", command)
        unit = (UNITS / f"berth-{name}.service").read_text()
        compose = COMPOSE.read_text()
        for text, before in ((unit, "ExecStart=/opt/berth/.venv/bin/"), (compose, "command: ")):
            assert f"{before}{what}\n" in re.sub(r" --bind \S+", "", text)


def test_every_unit_of_the_target_is_there() -> None:
    wanted = re.findall(r"berth-\w+\.service", (UNITS / "berth.target").read_text())
    assert len(wanted) == 3
    for name in wanted:
        unit = (UNITS / name).read_text()
        assert "Restart=always" in unit
        assert "Requires=berth-migrate.service" in unit


def test_a_database_that_is_late_at_boot_is_waited_for(tmp_path: Path) -> None:
    unit = (UNITS / "berth-migrate.service").read_text()
    first = re.findall(r"^ExecStart(?:Pre)?=(.*)$", unit, re.M)[0]
    python, tries = tmp_path / "python", tmp_path / "tries"
    python.write_text(f"#!/bin/sh\necho >> {tries}; [ $(wc -l < {tries}) -gt 2 ]\n")
    python.chmod(0o700)
    command = first.replace("/opt/berth/.venv/bin/python", str(python)).replace("sleep 5", ":")
    subprocess.run(command, shell=True, check=True, timeout=30)
    assert tries.read_text() == "\n" * 3


def test_the_image_has_what_gunicorn_is_told_and_every_folder_that_the_panel_imports() -> None:
    assert "COPY manage.py gunicorn.conf.py ./\n" in (DEPLOY / "compose/Dockerfile").read_text()
    copied = set(re.findall(r"^COPY (\w+) \w+$", (DEPLOY / "compose/Dockerfile").read_text(), re.M))
    assert copied >= {"panel", "containers", "orders", "templates", "static"}
    needed = {path.parent.name for path in ROOT.glob("*/apps.py")}
    assert needed <= copied


def test_a_panel_that_is_installed_behind_a_proxy_believes_what_it_says() -> None:
    assert "\nBERTH_PROXIES=1\n" in (UNITS / "berth.env").read_text()
    assert "    BERTH_PROXIES: ${BERTH_PROXIES:-1}\n" in COMPOSE.read_text()
    assert set(re.findall(r"proxy_set_header (X-Forwarded-\w+)", nginx())) == {
        "X-Forwarded-For",
        "X-Forwarded-Proto",
    }


def nginx() -> str:
    """What docs/install.md has nginx do."""
    return INSTALL.read_text().partition("```nginx")[2].partition("```")[0]


def test_nginx_lets_the_largest_file_through_with_what_is_sent_around_it() -> None:
    [mebibytes] = re.findall(r"client_max_body_size (\d+)m;", nginx())
    room = int(mebibytes) * 2**20 - settings.UPLOAD_LIMIT
    assert 2**16 <= room <= 2**22


def test_every_setting_can_be_made_beside_the_compose_file() -> None:
    anchor = COMPOSE.read_text().partition("x-berth: &berth\n")[2].partition("\nx-")[0]
    assert "\n  env_file: .env\n" in anchor
    processes = re.findall(r"^  (\w+):\n    <<: \[?\*berth\b", COMPOSE.read_text(), re.M)
    assert processes == ["migrate", "web", "worker", "watcher"]
    said = dict(re.findall(r"^    (BERTH_\w+): (.*)$", anchor, re.M))
    fixed = {name for name, value in said.items() if f"${{{name}:" not in value}
    listed = set(re.findall(r"^\| `(BERTH_\w+)`", (ROOT / "docs/operate.md").read_text(), re.M))
    assert fixed <= listed
    [told] = re.findall(r"(`BERTH_DATA`,[^.]*) are made by the compose file", INSTALL.read_text())
    assert fixed == set(re.findall(r"BERTH_\w+", told))


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("sources.list", "{main}# deb {more}", "{main}# deb {more}+deb {more}"),
        ("sources.list", "{main}deb {more}", "{main}deb {more}"),
        ("sources.list.d/debian.sources", "# bookworm-backports\nSuites: bookworm\n",
         "# bookworm-backports\nSuites: bookworm bookworm-backports\n"),
        ("sources.list.d/debian.sources", "Suites: bookworm bookworm-backports\n",
         "Suites: bookworm bookworm-backports\n"),
    ],
)  # fmt: skip
def test_a_node_has_backports_once_and_a_comment_is_none(
    file: str, before: str, after: str, tmp_path: Path
) -> None:
    """The further file is what stands behind `+`."""
    lines = {"main": "deb http://a.example bookworm main\n",
             "more": "http://a.example bookworm-backports main\n"}  # fmt: skip
    script = (DEPLOY / "incus-node").read_text().replace("/etc/apt", str(tmp_path))
    [function] = re.findall(r"^add_backports\(\) \{\n.*?^\}\n", script, re.M | re.DOTALL)
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / file).write_text(before.format(**lines))
    run = f"set -euo pipefail; say() {{ :; }}; {function} add_backports"
    subprocess.run(["bash", "-c", run], check=True)
    further = tmp_path / "sources.list.d/backports.list"
    found = (tmp_path / file).read_text() + (f"+{further.read_text()}" if further.exists() else "")
    assert found == after.format(**lines)
