"""What an administrator does: work through the list, act on many, move, destroy, empty a node."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import LetGo, SignIn, simulated_nodes
from tests.browser.test_customer import press, status_becomes


def test_the_list_is_narrowed_searched_and_sorted(sign_in: SignIn, javascript: bool) -> None:
    page = sign_in("admin", javascript=javascript)
    page.goto("/containers/")
    names = page.locator("tr[data-status] a.name")
    page.get_by_role("link", name=re.compile("^Repairing")).click()
    expect(names).to_have_text(["legacy"])
    page.goto("/containers/")
    page.get_by_role("searchbox").fill("dubois")
    page.get_by_role("searchbox").press("Enter")
    expect(names).to_have_count(7)
    found = names.all_inner_texts()
    assert found != sorted(found)
    page.get_by_role("link", name="Container", exact=True).click()
    expect(names).to_have_text(sorted(found))


def test_several_are_stopped_at_once_after_a_preview(sign_in: SignIn, javascript: bool) -> None:
    page = sign_in("admin", javascript=javascript)
    names = ["dns", "game"] if javascript else ["api", "forum"]
    page.goto("/containers/")
    for name in [*names, "cache"]:
        page.get_by_role("checkbox", name=f"Tick {name}", exact=True).check()
    if javascript:
        # What all three allow is offered, nothing else.
        expect(page.locator("#bulk button:visible")).to_have_text(["Migrate"])
        page.get_by_role("checkbox", name="Tick cache", exact=True).uncheck()
        expect(page.locator("[data-bulk-count]")).to_have_text("2")
    page.locator("#bulk").get_by_role("button", name="Stop", exact=True).click()
    preview = page.locator("form.confirm")
    expect(preview).to_contain_text("Stop 2 containers?")
    if not javascript:
        expect(preview).to_contain_text("1 cannot")
    preview.get_by_role("button", name="Stop 2").click()
    expect(page.locator(".confirm .status.good")).to_have_count(2)
    page.get_by_role("link", name="Close").click()
    for name in names:
        page.goto(f"/containers/?q={name}&sort=name")
        page.get_by_role("link", name=name, exact=True).click()
        status_becomes(page, "Stopped", live=javascript)


def test_destroying_wants_the_name_typed(sign_in: SignIn, javascript: bool) -> None:
    page = sign_in("admin", javascript=javascript)
    name = "api-test" if javascript else "sketch"
    page.goto(f"/containers/?q={name}")
    page.get_by_role("link", name=name, exact=True).click()
    press(page, "Destroy")
    confirmation = page.locator("form.confirm")
    expect(confirmation).to_contain_text("no way to bring it back")
    confirmation.get_by_label("Type").fill("something else")
    if javascript:
        expect(confirmation.get_by_role("button", name="Destroy")).to_be_disabled()
    else:
        confirmation.get_by_role("button", name="Destroy").click()
        expect(page.get_by_text("That is something else")).to_be_visible()
    confirmation.get_by_label("Type").fill(name)
    confirmation.get_by_role("button", name="Destroy").click()
    status_becomes(page, "Destroyed", live=javascript)
    expect(page.locator("#act button")).to_have_count(0)


def test_a_container_moves_to_another_node(
    sign_in: SignIn, javascript: bool, let_go: LetGo
) -> None:
    page = sign_in("admin", javascript=javascript)
    name, target = "portal" if javascript else "metrics", "fsn-2"
    page.goto(f"/containers/?q={name}")
    page.get_by_role("link", name=name, exact=True).click()
    press(page, "Migrate")
    confirmation = page.locator("form.confirm")
    chosen = confirmation.locator("option", has_text=target).get_attribute("value")
    confirmation.get_by_label("To node").select_option(chosen)
    confirmation.get_by_role("button", name="Migrate").click()
    status_becomes(page, "Migrating", live=javascript)
    let_go()
    status_becomes(page, "Running", live=javascript)
    expect(page.get_by_role("link", name=target)).to_be_visible()


def test_a_system_that_does_not_shut_down_is_forced_off(sign_in: SignIn, data: Path) -> None:
    page = sign_in("admin")
    page.goto("/containers/?q=sandbox")
    page.get_by_role("link", name="sandbox", exact=True).click()
    name = page.locator(".head .sub").inner_text().split(" ")[0]
    for node in simulated_nodes(data):
        node.ignore_stops(name)
    press(page, "Stop")
    press(page, "Force off")
    page.locator("form.confirm").get_by_role("button", name="Force off").click()
    status_becomes(page, "Stopped", live=True)


def test_an_unplugged_node_shows_and_comes_back(sign_in: SignIn) -> None:
    page = sign_in("admin")
    page.goto("/nodes/")
    page.get_by_role("link", name="nbg-1").click()
    page.get_by_label("Unplugged").uncheck()
    page.locator("form", has=page.get_by_label("Unplugged")).get_by_role("button").last.click()
    expect(page.get_by_text("The faults of nbg-1 are set.")).to_be_visible()
    status_becomes(page, "On-line", live=False)
    page.goto("/containers/?q=registry")
    expect(page.locator("tr[data-status]")).to_have_attribute("data-status", "stopped")
    page.goto("/containers/?q=archive")
    expect(page.locator("tr[data-status]")).to_have_attribute("data-status", "running")


def asked_anew(page: Page) -> None:
    """Have the page's poll answered in full, as if something had changed."""
    with page.expect_response(lambda answer: answer.url.endswith("seen=other")):
        page.evaluate(
            """() => {
              const poll = document.querySelector('[data-poll]');
              const asked = poll.getAttribute('hx-get').replace(/seen=.*/, 'seen=other');
              poll.setAttribute('hx-get', asked);
              poll.dataset.old = '';
              htmx.process(poll);
              htmx.trigger(poll, 'refresh');
            }"""
        )


def swapped(page: Page) -> None:
    """Have the page's poll bring it anew."""
    asked_anew(page)
    expect(page.locator("[data-old]")).to_have_count(0)


def test_a_dialog_gives_the_focus_back_though_the_page_behind_it_is_new(sign_in: SignIn) -> None:
    page = sign_in("admin")
    page.goto("/containers/?q=intranet")
    summary = page.locator("tr[data-status] summary")
    summary.press("Enter")
    page.locator("tr[data-status] .item[value=migrate]").press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    swapped(page)
    page.keyboard.press("Escape")
    expect(summary).to_be_focused()
    page.get_by_role("link", name="intranet", exact=True).press("Enter")
    page.locator("#act-migrate").press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    swapped(page)
    page.keyboard.press("Escape")
    expect(page.locator("#act-migrate")).to_be_focused()


SELECT = "document.getSelection().selectAllChildren(document.querySelector('td.mono'))"
SELECTED = "String(document.getSelection())"


def test_what_is_selected_can_be_copied_while_the_list_moves(sign_in: SignIn) -> None:
    page = sign_in("admin")
    page.goto("/containers/?q=intranet")
    page.evaluate(SELECT)
    address = page.evaluate(SELECTED)
    asked_anew(page)
    page.wait_for_timeout(300)
    assert page.evaluate(SELECTED) == address != ""
    expect(page.locator("[data-old]")).to_have_count(1)
    page.get_by_role("heading", name="Containers").click()
    expect(page.locator("[data-old]")).to_have_count(0)


def test_a_selection_left_standing_holds_the_list_up_for_so_long(sign_in: SignIn) -> None:
    page = sign_in("admin")
    page.goto("/containers/?q=intranet")
    page.clock.install()
    page.clock.pause_at(datetime.now() + timedelta(hours=1))
    page.evaluate(SELECT)
    page.clock.run_for(100)
    asked_anew(page)
    page.clock.run_for(10_000)
    expect(page.locator("[data-old]")).to_have_count(1)
    page.clock.run_for(6_000)
    expect(page.locator("[data-old]")).to_have_count(0)


def test_a_selection_holds_up_nobodys_own_click(sign_in: SignIn) -> None:
    page = sign_in("admin")
    page.goto("/containers/?q=intranet")
    page.evaluate(SELECT)
    page.wait_for_function("document.getSelection().type === 'Range'")
    with page.expect_response(lambda answer: "seen=" in answer.url):
        page.evaluate("htmx.ajax('GET', '/containers/', {target: '#dialog', select: 'h1'})")
        asked_anew(page)
    expect(page.locator("[data-old]")).to_have_count(0)


def test_a_menu_that_the_focus_leaves_closes(sign_in: SignIn) -> None:
    page = sign_in("admin")
    page.goto("/containers/")
    menu = page.locator("tr[data-status]", has_text="intranet").locator("details")
    menu.locator("summary").press("Enter")
    for _ in range(menu.locator(".item").count()):
        page.keyboard.press("Tab")
    expect(menu.locator(".item").last).to_be_focused()
    expect(menu).to_have_attribute("open", "")
    page.keyboard.press("Tab")
    expect(menu).not_to_have_attribute("open", "")


def test_the_keyboard_is_enough(sign_in: SignIn) -> None:
    page = sign_in("admin")
    page.goto("/containers/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("build-6")
    page.keyboard.press("Enter")
    summary = page.locator("tr[data-status] summary")
    expect(summary).to_have_count(1)
    summary.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("tr[data-status] .item").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(summary).to_be_focused()
    page.get_by_role("link", name="build-6", exact=True).press("Enter")
    page.locator("#act-restart").press("Enter")
    expect(page.locator("#act-restart")).to_have_count(0)
    expect(page.locator("#main")).to_be_focused()
