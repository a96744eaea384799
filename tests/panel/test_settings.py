"""A wrong value of a setting stops the process at its start, and says which and what is allowed."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.utils import ConnectionHandler
from django.http.request import split_domain_port, validate_host
from environs import EnvError
from psycopg import OperationalError

from tests.environment import SETTINGS, read_settings

READ = re.findall(r'env\.(\w+)\(\s*"(BERTH_\w+)"', SETTINGS.read_text())
# No number may be below zero, and each must be one.
NUMBERS = [name for kind, name in READ if kind in {"int", "float"}]
WRONG_NUMBERS = ["-1", "-0.5", "many", "", "nan", "inf"]
# Further values that must not pass.
WRONG = {
    "BERTH_DATA": ["/dev/null/data"],
    "BERTH_PORT": ["0", "65536", "99999999"],
    "BERTH_URL": [
        "panel.example.com", "ftp://a.example", "https://", "https://a:port", "https://a:0",
        "http://[", "https://a.example/panel", "https://lena:secret@a.example",
        "https://a.example?panel", "https://a.example#panel",
    ],
    "BERTH_HOSTS": ["https://a.example", "a.example, b.example", "a.example:8000"],
    "BERTH_DATABASE_URL": ["berth", "mysql://localhost/berth"],
    "BERTH_QUEUE_URL": [
        "berth", "amqp://localhost", "redis://h:abc", "redis://h:99999", "postgres://u:p@h:abc/db",
        "postgres://u:p@h:99999/db", "postgres://u:p@h:0/db", "postgres://u:p@h/db?colour=red",
    ],
    "BERTH_WORKER_THREADS": ["0"],
    "BERTH_NODE_CONCURRENCY": ["0"],
    "BERTH_WATCH_EVERY": ["0", "1e10"],
    "BERTH_WATCH_TIMEOUT": ["0", "1e10"],
    "BERTH_NODE_TIMEOUT": ["0", "1e10"],
    "BERTH_MISSES_UNTIL_OFFLINE": ["0"],
    "BERTH_LEASE": ["1", "1e300"],
    "BERTH_STOP_LIMIT": ["0", "1e300"],
    "BERTH_CREATE_PAUSES": ["10,-1", "10,soon", "0", "1e300"],
    "BERTH_ROOM_PAUSE": ["0", "1e300"],
    "BERTH_IMAGE_SERVERS": ["images", "[]", '{"images": {"url": "http://a.example"}}'],
    "BERTH_UPLOAD_LIMIT": ["0"],
    "BERTH_EDIT_LIMIT": ["0"],
    "BERTH_EMAIL_URL": ["mail", "ftp://a.example"],
    "BERTH_EMAIL_FROM": ["berth", "berth@a.example\nBcc: b@a.example"],
    "BERTH_PAYMENT_VARIANTS": [
        "{}", "[]", "card", '{"card": "payments.stripe.StripeProviderV3"}', '{"card": [7, {}]}',
        '{"card": ["payments.stripe.StripeProviderV3"]}', '{"": ["a.B", {}]}',
    ],
    "BERTH_CURRENCY": ["EURO", "eur", "€", ""],
    "BERTH_TIME_ZONE": ["Mars/Olympus", "", "/etc/passwd", "Europe"],
    "BERTH_DEBUG": ["perhaps"],
    "BERTH_LOG_LEVEL": ["CHATTY", "info"],
    "BERTH_LOG_FORMAT": ["xml"],
}  # fmt: skip
# Any text will do.
FREE = {"BERTH_SECRET_KEY", "BERTH_INCUS_IDENTITY", "BERTH_METRICS_TOKEN"}
CASES = [(name, value) for name in NUMBERS for value in WRONG_NUMBERS]
CASES += [(name, value) for name, values in WRONG.items() for value in values]


@pytest.mark.parametrize(("name", "value"), CASES)
def test_a_wrong_value_is_refused_by_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises((EnvError, ImproperlyConfigured), match=rf"(?i){name}\b.*(must|not)\b"):
        read_settings(monkeypatch, tmp_path, **{name: value})


def test_of_every_setting_a_wrong_value_is_tried() -> None:
    names = {name for _, name in READ}
    assert len(NUMBERS) > 15
    assert names == {name for name, _ in CASES} | FREE


def test_what_is_refused_says_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(EnvError, match=r"BERTH_CREATE_PAUSES.*greater than 0"):
        read_settings(monkeypatch, tmp_path, BERTH_CREATE_PAUSES="10,-1")


def test_every_command_stops_at_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=settings.BASE_DIR,
        env={"BERTH_DATA": str(tmp_path), "BERTH_CURRENCY": "EURO"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode
    assert "BERTH_CURRENCY" in done.stderr.splitlines()[-1]
    assert "ISO 4217" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BERTH_URL", "http://localhost:8000/"),
        ("BERTH_URL", "https://[::1]:8443"),
        ("BERTH_HOSTS", "a.example,*.b.example,[::1]"),
        ("BERTH_DATABASE_URL", "postgres://berth:secret@localhost/berth"),
        ("BERTH_QUEUE_URL", "postgres://berth:sec#ret@localhost:5432/berth"),
        ("BERTH_QUEUE_URL", "postgres://berth@one:5432,two:5433/berth"),
        ("BERTH_QUEUE_URL", "postgresql:///berth?host=/run/postgresql"),
        ("BERTH_QUEUE_URL", "rediss://:secret@[::1]/0"),
        ("BERTH_CREATE_PAUSES", ""),
        ("BERTH_STOP_PATIENCE", "0"),
        ("BERTH_SIGN_IN_TRIES", "0"),
        ("BERTH_EMAIL_FROM", "The panel <panel@example.com>"),
        ("BERTH_TIME_ZONE", "Europe/Berlin"),
    ],
)
def test_what_is_meant_is_taken(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert read_settings(monkeypatch, tmp_path, **{name: value})


@pytest.mark.parametrize(
    ("url", "host"),
    [("http://[::1]:8000", "[::1]:8000"), ("http://Panel.example.com", "panel.example.com")],
)
def test_the_panel_answers_at_its_own_address(
    url: str, host: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name, _ = split_domain_port(host)
    assert validate_host(name, read_settings(monkeypatch, tmp_path, BERTH_URL=url)["ALLOWED_HOSTS"])


def test_a_database_that_goes_without_a_word_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"postgres://berth@127.0.0.1:{silent.getsockname()[1]}/berth"
        read = read_settings(monkeypatch, tmp_path, BERTH_DATABASE_URL=address)
        database = ConnectionHandler(read["DATABASES"])["default"]
        began = time.monotonic()
        with pytest.raises(OperationalError, match="timeout"):
            database.connect()
    assert time.monotonic() - began < 60
    assert int(database.get_connection_params()["connect_timeout"]) <= 5
    # What is lost on the way later on, no test can lose without leave of the system.
    assert 0 < int(database.get_connection_params()["tcp_user_timeout"]) <= 10_000
