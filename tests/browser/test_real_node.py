"""The main job on a real node: added by an administrator, ordered on by a customer."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SignIn
from tests.browser.test_customer import press, status_becomes
from tests.incus_node import PROJECT, IncusNode, daemons

pytestmark = pytest.mark.incus

INITTAB = "::respawn:/bin/sleep 1000\nnull::shutdown:/bin/true\n"


@pytest.fixture(scope="module")
def servers() -> Iterator[list[IncusNode]]:
    """Two Incus servers of which the panel knows nothing yet."""
    with daemons(2) as found:
        yield found


def add(admin: Page, server: IncusNode, name: str) -> None:
    """Add a server by its join token, unless it is there."""
    admin.goto("/nodes/")
    if admin.get_by_role("link", name=name).count():
        return
    admin.get_by_role("link", name="Add a node").click()
    admin.get_by_label("Join token").fill(server.prepare())
    admin.get_by_role("button", name="Reach the server").click()
    admin.get_by_label(re.compile("in the panel")).fill(name)
    admin.get_by_role("button", name="Add", exact=True).click()
    expect(admin.get_by_role("link", name=name)).to_be_visible()


def content(server: IncusNode, name: str, path: str) -> str:
    """A file of an instance, as Incus' own client reads it."""
    return server.incus("file", "pull", f"{name}{path}", "-", "--project", PROJECT)


def config_of(server: IncusNode, name: str) -> dict[str, str]:
    """How Incus itself has noted an instance down."""
    said: dict[str, str] = server.query(f"/1.0/instances/{name}?project={PROJECT}")["config"]
    return said


def state_of(server: IncusNode, name: str) -> str:
    """What Incus itself says of one instance."""
    said: str = server.query(f"/1.0/instances/{name}?project={PROJECT}")["status"]
    return said


def test_a_join_token_leads_to_a_real_container_that_runs_is_repaired_moves_and_is_destroyed(
    sign_in: SignIn, servers: list[IncusNode]
) -> None:
    server, target = servers
    admin = sign_in("admin")
    add(admin, server, "real-1")

    page = sign_in("lena")
    page.goto("/orders/new/")
    page.get_by_label(re.compile("Small 1 GB")).check()
    page.get_by_label("Name").fill("truly")
    page.get_by_label("System").select_option(label="BusyBox (only with Small 1 GB)")
    page.get_by_role("button", name="Order", exact=True).click()
    expect(page).to_have_url(re.compile(r"/orders/\d+/$"))
    assert server.query(f"/1.0/instances?project={PROJECT}") == []
    page.get_by_role("link", name="Pay").or_(page.get_by_role("button", name="Pay")).first.click()
    page.get_by_role("button", name=re.compile("^Pay")).last.click()
    page.get_by_role("link", name="truly").first.click()
    status_becomes(page, "Stopped", live=True)
    name = page.locator(".head .sub").inner_text().split(" ")[0]
    assert state_of(server, name) == "Stopped"
    home = page.url

    press(page, "Start")
    status_becomes(page, "Running", live=True)
    assert state_of(server, name) == "Running"
    server.incus("stop", name, "--project", PROJECT, "--force")
    status_becomes(page, "Stopped", live=True)

    press(page, "Repair")
    status_becomes(page, "Repairing", live=True)
    assert state_of(server, name) == "Stopped"
    page.get_by_role("link", name="Files", exact=True).first.click()
    page.get_by_role("link", name="etc").click()
    page.get_by_role("link", name="inittab").click()
    page.locator("textarea").fill(f"::sysinit:/bin/touch /root/mended\n{INITTAB}")
    page.get_by_role("button", name="Save").first.click()
    expect(page.get_by_text("inittab is saved.")).to_be_visible()
    assert "mended" in content(server, name, "/etc/inittab")
    press(page, "Stop")
    expect(page.locator(".head .status")).to_have_text("Stopped", timeout=20_000)
    page.goto(home)
    press(page, "Start")
    status_becomes(page, "Running", live=True)
    assert state_of(server, name) == "Running"
    assert content(server, name, "/root/mended") == ""

    add(admin, target, "real-2")
    admin.goto("/containers/?q=truly")
    admin.get_by_role("link", name="truly", exact=True).click()
    press(admin, "Migrate")
    confirmation = admin.locator("form.confirm")
    real = confirmation.locator("option", has_text="real-2").get_attribute("value")
    confirmation.get_by_label("To node").select_option(real)
    confirmation.get_by_role("button", name="Migrate").click()
    status_becomes(admin, "Migrating", live=True)
    status_becomes(admin, "Running", live=True, seconds=60)
    expect(admin.get_by_role("link", name="real-2")).to_be_visible()
    assert state_of(target, name) == "Running"
    assert "mended" in content(target, name, "/etc/inittab")
    assert not server.has(name)

    press(admin, "Stop")
    status_becomes(admin, "Stopped", live=True)
    assert state_of(target, name) == "Stopped"
    press(admin, "Destroy")
    admin.locator("form.confirm").get_by_label("Type").fill("truly")
    admin.locator("form.confirm").get_by_role("button", name="Destroy").click()
    status_becomes(admin, "Destroyed", live=True)
    assert not target.has(name)
    assert not server.has(name)


def test_what_was_made_by_hand_is_adopted_and_what_was_deleted_by_hand_is_created_again(
    sign_in: SignIn, servers: list[IncusNode]
) -> None:
    server = servers[0]
    admin = sign_in("admin")
    add(admin, server, "real-1")
    server.make_by_hand("ct-9001")
    admin.get_by_role("link", name="real-1").click()
    difference = admin.locator("#difference-9001")
    expect(difference).to_contain_text("Made by hand", timeout=30_000)
    difference.get_by_role("link", name="Adopt").click()
    form = admin.locator("form.confirm")
    expect(form).to_contain_text("1 core, 128 MB of memory and 1 GB of disk, made of busybox")
    assert "user.berth.id" not in config_of(server, "ct-9001")
    form.get_by_label("Customer").fill("lena")
    form.get_by_label("Name").fill("found")
    form.get_by_role("button", name="Adopt").click()
    expect(admin.get_by_text("ct-9001 is the container found of Lena")).to_be_visible()
    expect(difference).to_have_count(0)
    assert config_of(server, "ct-9001")["user.berth.state"] == "whole"

    admin.get_by_role("link", name="found", exact=True).click()
    press(admin, "Start")
    status_becomes(admin, "Running", live=True)
    assert state_of(server, "ct-9001") == "Running"
    server.incus("delete", "--force", "ct-9001", "--project", PROJECT)
    status_becomes(admin, "Off-line", live=True)
    admin.get_by_role("link", name="real-1").first.click()
    expect(difference).to_contain_text("Missing")
    difference.get_by_role("link", name="Create again").click()
    admin.locator("form.confirm").get_by_role("button", name="Create again").click()
    expect(difference).to_have_count(0)
    admin.get_by_role("link", name="found", exact=True).click()
    status_becomes(admin, "Stopped", live=True)
    assert state_of(server, "ct-9001") == "Stopped"
    assert config_of(server, "ct-9001")["limits.memory"] == "128MiB"
