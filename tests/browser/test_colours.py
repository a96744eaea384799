"""Light, dark or as the system: picked once, for the pages and the Django admin."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import SignIn

DARK = "rgb(24, 32, 41)"


def test_what_is_picked_holds_on_the_pages_and_in_the_django_admin(sign_in: SignIn) -> None:
    page = sign_in("staff")
    menu = page.get_by_label("account of")
    menu.click()
    page.get_by_role("button", name="Dark").click()
    page.goto("/admin/")
    expect(page.locator("body")).to_have_css("background-color", DARK)
    page.get_by_role("button", name="Toggle theme").click()
    expect(page.locator("body")).not_to_have_css("background-color", DARK)
    page.get_by_role("button", name="Toggle theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "auto")
    page.goto("/")
    menu.click()
    picked = page.locator(".themes [aria-pressed=true]")
    expect(picked).to_have_text("As the system")


def test_steps_differ_where_the_system_chooses_the_colours(sign_in: SignIn) -> None:
    page = sign_in("admin")
    page.emulate_media(forced_colors="active")
    page.goto("/orders/33/")
    marks = {
        state: page.locator(f"[data-step={state}]").first.evaluate(
            "step => getComputedStyle(step, '::before').background"
        )
        for state in ("done", "current", "todo")
    }
    assert len(set(marks.values())) == len(marks)
