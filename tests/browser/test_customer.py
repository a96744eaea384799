"""What a customer does: order, pay, watch, start, break, repair."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, SOON, LetGo, SignIn


def status_becomes(page: Page, status: str, *, live: bool, seconds: float = PATIENCE) -> None:
    """Wait for the status in the page's head; where no script runs, by loading it again."""
    pill = page.locator(".head .status")
    if live:
        expect(pill).to_have_text(status, timeout=seconds * 1000)
        return
    for _ in range(int(seconds * 2)):
        if pill.inner_text().strip() == status:
            return
        page.wait_for_timeout(500)
        page.reload()
    expect(pill).to_have_text(status)


def press(page: Page, label: str) -> None:
    """Press a button of the action bar, and wait for the panel's answer."""
    with page.expect_response(lambda answer: "/act/" in answer.url):
        page.locator("#act").get_by_role("button", name=label, exact=True).click()


def order(page: Page, name: str) -> None:
    fill_in_an_order(page, name)
    expect(page).to_have_url(re.compile(r"/orders/\d+/$"))


def fill_in_an_order(page: Page, name: str) -> None:
    page.goto("/plans/")
    page.get_by_role("link", name="Order").nth(1).click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("System").select_option(label="Debian 12")
    page.get_by_role("button", name=re.compile("order", re.I)).last.click()


def test_an_order_becomes_a_running_container_that_can_be_repaired(
    sign_in: SignIn, javascript: bool, let_go: LetGo
) -> None:
    page = sign_in("lena", javascript=javascript)
    name = f"fresh-{'live' if javascript else 'plain'}"
    order(page, name)

    page.get_by_role("link", name="Pay").or_(page.get_by_role("button", name="Pay")).first.click()
    page.get_by_role("button", name=re.compile("pay", re.I)).last.click()
    expect(page).to_have_url(re.compile(r"/orders/\d+/$"))

    page.get_by_role("link", name=name).first.click()
    status_becomes(page, "Creating", live=javascript)
    let_go()
    status_becomes(page, "Stopped", live=javascript)
    if javascript:
        expect(page.locator("#announcer")).to_have_text(f"{name} is Stopped.")

    press(page, "Start")
    expect(page.locator(".head .status")).to_have_text(re.compile("Booting|Running"))
    status_becomes(page, "Running", live=javascript)
    press(page, "Stop")
    status_becomes(page, "Stopped", live=javascript)
    press(page, "Repair")
    status_becomes(page, "Repairing", live=javascript)
    expect(page.locator("#act button")).to_have_text(["Stop"])

    page.get_by_role("link", name="Files", exact=True).first.click()
    page.get_by_role("link", name="etc").click()
    page.get_by_role("link", name="hostname").click()
    editor = page.locator("textarea")
    expect(editor).to_have_value(f"{name}\n")
    editor.fill("mended\n")
    if javascript:
        for leaving in (page.get_by_role("link", name="Cancel"), page.locator("#act button")):
            page.once("dialog", lambda asked: asked.dismiss())
            with page.expect_event("dialog") as asked:
                leaving.click(no_wait_after=True)
            assert asked.value.type == "beforeunload"
            expect(editor).to_have_value("mended\n")
    page.get_by_role("button", name="Save").first.click()
    expect(page.get_by_text("hostname is saved.")).to_be_visible()
    page.goto(f"{page.url.split('/files/')[0]}/files/?path=/etc")
    page.get_by_role("link", name="hostname").click()
    expect(page.locator("textarea")).to_have_value("mended\n")

    press(page, "Stop")
    page.get_by_role("link", name="Overview").click()
    status_becomes(page, "Stopped", live=javascript)
    page.get_by_role("link", name="Activity").last.click()
    expect(page.get_by_text("/etc/hostname").first).to_be_visible()


def test_whoever_has_to_correct_something_begins_there(sign_in: SignIn) -> None:
    page = sign_in("lena")
    fill_in_an_order(page, "no spaces")
    expect(page.get_by_label("Name")).to_be_focused()
    expect(page.get_by_label("Name")).to_have_value("no spaces")


def test_a_click_answers_in_the_same_breath(sign_in: SignIn, let_go: LetGo) -> None:
    page = sign_in("lena")
    page.goto("/containers/?q=staging")
    row = page.locator("tr[data-status]", has_text="staging")
    row.locator("summary").click()
    with page.expect_response(lambda answer: "/act/" in answer.url) as answer:
        row.get_by_role("button", name="Start").click()
    assert 'data-status="booting"' in answer.value.text()
    let_go()
    expect(page.locator("tr", has_text="staging")).to_have_attribute("data-status", "running")


def test_who_goes_back_sees_what_is_true_now(sign_in: SignIn) -> None:
    page = sign_in("lena")
    page.goto("/containers/?q=web-01")
    page.get_by_role("link", name="web-01", exact=True).click()
    press(page, "Stop")
    status_becomes(page, "Stopped", live=True)
    page.goto("/")
    page.go_back()
    status_becomes(page, "Stopped", live=True, seconds=SOON)


def test_who_goes_back_to_an_order_form_finds_what_was_typed(sign_in: SignIn) -> None:
    """Playwright has Chromium keep no page in memory: the form is filled in anew."""
    page = sign_in("admin")
    page.goto("/orders/new/")
    typed = {"Name": "half-typed", "SSH public key": "ssh-ed25519 AAAA", "Customer": "lena"}
    for label, text in typed.items():
        page.get_by_label(label).fill(text)
    page.get_by_role("link", name="Plans").last.click()
    page.wait_for_url("**/plans/")
    page.go_back()
    for label, text in typed.items():
        expect(page.get_by_label(label)).to_have_value(text)


def test_what_is_ticked_and_open_survives_the_poll(sign_in: SignIn, let_go: LetGo) -> None:
    page = sign_in("omar")
    page.goto("/containers/?q=vpn")
    page.get_by_role("link", name="vpn", exact=True).click()
    press(page, "Start")
    page.goto("/containers/")
    expect(page.locator("#containers")).to_have_attribute("hx-trigger", re.compile("every 2s"))
    row = page.locator("tr[data-status]", has_text="wiki")
    row.get_by_role("checkbox").check()
    row.locator("summary").click()
    let_go()
    started = page.locator("tr[data-status=running]", has_text="vpn")
    expect(started).to_be_visible(timeout=PATIENCE * 1000)
    expect(row.get_by_role("checkbox")).to_be_checked()
    expect(row.locator("details")).to_have_attribute("open", "")
    expect(page.locator("[data-bulk-count]")).to_have_text("1")


def test_a_signed_out_poll_leads_to_the_sign_in_page(sign_in: SignIn) -> None:
    page = sign_in("lena")
    page.goto("/containers/")
    page.context.clear_cookies()
    page.evaluate("htmx.trigger('[data-poll]', 'refresh')")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page).to_have_url(re.compile("next=/containers/"))


def test_another_customers_container_is_not_there(sign_in: SignIn) -> None:
    page = sign_in("omar")
    page.goto("/containers/")
    link = page.locator("tr[data-status] a.name").first.get_attribute("href")
    other = sign_in("lena")
    answer = other.goto(link or "")
    assert answer is not None
    assert answer.status == 404


def test_pages_fit_a_telephone(sign_in: SignIn) -> None:
    page = sign_in("lena", width=360)
    for path in ("/", "/containers/", "/orders/", "/plans/", "/orders/new/", "/activity/"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_what_is_wrong_is_read_on_a_telephone(sign_in: SignIn) -> None:
    page = sign_in("lena", width=360)
    page.goto("/containers/?q=cache")
    box = page.locator("tr[data-status]").get_by_text("The node refused.").bounding_box()
    assert box is not None
    assert box["width"] > 100


def test_a_tile_is_as_wide_with_one_more_as_without(sign_in: SignIn) -> None:
    page = sign_in("lena")
    width = "document.querySelector('.tile').offsetWidth"
    before = page.evaluate(width)
    page.evaluate(
        "(all => all.append(all.lastElementChild.cloneNode()))(document.querySelector('.tiles'))"
    )
    assert page.evaluate(width) == before
