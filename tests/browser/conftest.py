"""A whole panel with its demo, and browsers that sign in to it as people do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Playwright,
    StorageState,
    expect,
)

from panel.demo import PASSWORD
from tests.incus_node import free_port
from tests.tampering import Tampered

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

SignIn = Callable[..., Page]
LetGo = Callable[[], None]

# In seconds. What has to come of a click comes sooner than a page at rest asks again.
SOON = 14
PATIENCE = 60
PACE = 0.5

expect.set_options(timeout=SOON * 1000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without Chromium these tests are skipped, and under CI they fail: nobody may take a test
    that did not run for one that passed."""
    for item in items:
        if "browser" not in item.path.parts:
            continue
        item.add_marker(pytest.mark.browser)
        if CHROMIUM is None and "CI" not in os.environ:
            item.add_marker(pytest.mark.skip(reason="Chromium is not installed"))


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """The system's own Chromium; the sandbox is not to be had for root, in a container."""
    assert CHROMIUM, "the browser tests need Chromium: apt install chromium"
    started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    yield started
    started.close()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of everything that the panel keeps."""
    return tmp_path_factory.mktemp("panel")


@pytest.fixture(scope="session")
def panel(data: Path) -> Iterator[str]:
    """The address of a panel of its own, started as `make run` starts it, with nodes that work
    twice as fast."""
    port = free_port()
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("BERTH_")},
        "BERTH_DATA": str(data),
        "BERTH_PORT": str(port),
        "BERTH_STOP_PATIENCE": "3",
        "BERTH_WATCH_EVERY": "1",
        "PYTHONUNBUFFERED": "1",
    }
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    log = data / "panel.log"
    with log.open("w") as output:
        processes = subprocess.Popen(
            [sys.executable, "manage.py", "launch"],
            cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/healthz", processes, log)
        for node in simulated_nodes(data):
            node.set_pace(PACE)
        yield address
    finally:
        processes.send_signal(signal.SIGTERM)
        try:
            processes.wait(timeout=30)
        finally:
            if processes.poll() is None:
                os.killpg(processes.pid, signal.SIGKILL)


def _wait_for(address: str, processes: subprocess.Popen[bytes], log: Path) -> None:
    """Until it answers; but not once it has ended, and not for ever."""
    deadline = time.monotonic() + 5 * PATIENCE
    while processes.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    pytest.fail(f"the panel does not answer:\n{log.read_text()[-4000:]}")


def simulated_nodes(data: Path) -> list[Tampered]:
    folders = [settings.parent for settings in data.glob("nodes/*/node.json")]
    return [Tampered(folder, timeout=PATIENCE) for folder in folders]


@pytest.fixture
def let_go(panel: str, data: Path) -> Iterator[LetGo]:
    """What the simulated nodes begin from now on is not done before this is called: pages can be
    looked at meanwhile, however long that takes."""

    def let_go() -> None:
        for node in simulated_nodes(data):
            node.set_pace(PACE)

    for node in simulated_nodes(data):
        node.set_pace(1000)
    yield let_go
    let_go()


@pytest.fixture(scope="session")
def signed_in() -> dict[str, StorageState]:
    """The cookies of those who have signed in: to check a password takes a second."""
    return {}


@pytest.fixture
def sign_in(browser: Browser, panel: str, signed_in: dict[str, StorageState]) -> Iterator[SignIn]:
    """Signs a demo person in and hands their page over, with or without JavaScript.

    When the test ends, a page on which the browser complained (a script that failed, something
    that the Content-Security-Policy forbade) fails it.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def person(name: str, *, javascript: bool = True, width: int = 1300) -> Page:
        context = browser.new_context(
            base_url=panel,
            java_script_enabled=javascript,
            viewport={"width": width, "height": 900},
            storage_state=signed_in.get(name),
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                complaints.append(message.text)
                if "Content Security Policy" in message.text
                else None
            ),
        )
        page.goto("/")
        if page.get_by_label("Password").is_visible():
            page.get_by_label("User name or e-mail").fill(name)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url(f"{panel}/")
            signed_in[name] = context.storage_state()
        return page

    yield person
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without JavaScript"])
def javascript(request: pytest.FixtureRequest) -> bool:
    """Both ways to use the panel."""
    return bool(request.param)
