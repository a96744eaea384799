"""The main job on a real node: added by an administrator, ordered on by a customer."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SignIn
from tests.browser.test_customer import press, status_becomes
from tests.incus_node import IncusNode, daemons

pytestmark = pytest.mark.incus


@pytest.fixture
def server() -> Iterator[IncusNode]:
    with daemons(1) as [found]:
        yield found


def test_a_join_token_leads_to_a_real_container_that_its_customer_runs_and_repairs(
    sign_in: SignIn, server: IncusNode
) -> None:
    admin = sign_in("admin")
    admin.goto("/nodes/")
    admin.get_by_role("link", name="Add a node").click()
    admin.get_by_label("Join token").fill(server.prepare())
    admin.get_by_role("button", name="Reach the server").click()
    admin.get_by_label(re.compile("in the panel")).fill("real-1")
    admin.get_by_role("button", name="Add", exact=True).click()
    expect(admin.get_by_role("link", name="real-1")).to_be_visible()

    page = sign_in("lena")
    page.goto("/orders/new/")
    page.get_by_label(re.compile("Small 1 GB")).check()
    page.get_by_label("Name").fill("truly")
    page.get_by_label("System").select_option(label="BusyBox")
    page.get_by_role("button", name="Order", exact=True).click()
    page.get_by_role("link", name="Pay").or_(page.get_by_role("button", name="Pay")).first.click()
    page.get_by_role("button", name=re.compile("^Pay")).last.click()
    page.get_by_role("link", name="truly").first.click()
    status_becomes(page, "Stopped", live=True)
    name = page.locator(".head .sub").inner_text().split(" ")[0]
    assert server.has(name)

    press(page, "Start")
    status_becomes(page, "Running", live=True)
    assert server.query(f"/1.0/instances/{name}?project=berth")["status"] == "Running"
    server.incus("stop", name, "--project", "berth", "--force")
    status_becomes(page, "Stopped", live=True)

    press(page, "Repair")
    status_becomes(page, "Repairing", live=True)
    page.get_by_role("link", name="Files", exact=True).first.click()
    page.get_by_role("link", name="etc").click()
    page.get_by_role("link", name="inittab").click()
    page.locator("textarea").fill("::respawn:/bin/sleep 1000\n")
    page.get_by_role("button", name="Save").first.click()
    changed = server.incus("file", "pull", f"{name}/etc/inittab", "-", "--project", "berth")
    assert changed == "::respawn:/bin/sleep 1000\n"
    press(page, "Stop")
    expect(page.locator(".head .status")).to_have_text("Stopped", timeout=20_000)

    admin.goto("/containers/?q=truly")
    admin.get_by_role("link", name="truly", exact=True).click()
    press(admin, "Destroy")
    admin.locator("form.confirm").get_by_label("Type").fill("truly")
    admin.locator("form.confirm").get_by_role("button", name="Destroy").click()
    status_becomes(admin, "Destroyed", live=True)
    assert not server.has(name)
