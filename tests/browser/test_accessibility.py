"""Pages for those who hear them, press their keys, use a finger, or read them on paper."""

from __future__ import annotations

from collections.abc import Iterator

from django.urls import reverse
from playwright.sync_api import expect

import containers.urls
import orders.urls
from tests.browser.conftest import LetGo, SignIn

# A head says what is below it. What can be pressed or filled in has a name, which begins with the
# words that it shows, and is 24 px high or has as much room to itself. A form is no toolbar.
COMPLAINTS = """() => {
  const shown = [...document.querySelectorAll('body *')].filter((each) => each.checkVisibility());
  const all = (selector) => shown.filter((each) => each.matches(selector));
  const named = (each) =>
    each.ariaLabel ?? (each.labels?.length ? [...each.labels] : [each])
      .map((label) => label.textContent).join(' ');
  const controls = all('a[href], button, summary, select, textarea, input:not([type=hidden])');
  const targets = controls.filter((each) => getComputedStyle(each).display !== 'inline');
  const box = (each) => each.getBoundingClientRect();
  const isNear = (one, other) => {
    const [a, b] = [box(one), box(other)];
    const x = Math.max(b.left - (a.left + a.right) / 2, (a.left + a.right) / 2 - b.right, 0);
    const y = Math.max(b.top - (a.top + a.bottom) / 2, (a.top + a.bottom) / 2 - b.bottom, 0);
    return Math.hypot(x, y) < 12;
  };
  const isCramped = (each) =>
    Math.min(box(each).width, box(each).height) < 24 &&
    targets.some((other) => !other.contains(each) && !each.contains(other) && isNear(each, other));
  const complaints = {
    'says nothing': all('th').filter((each) => !each.textContent.trim()),
    'has no name': controls.filter((each) => !named(each).trim()),
    'goes by another name': controls.filter(
      (each) => each.ariaLabel && !each.ariaLabel.includes(each.innerText.trim())),
    'is cramped': targets.filter(isCramped),
    'has a role': all('form[role]:not([role=search])'),
  };
  return Object.entries(complaints).flatMap(
    ([what, found]) => found.map((each) => `${what}: ${each.outerHTML.slice(0, 90)}`));
}"""


def addresses(repaired: int) -> Iterator[str]:
    """What asks for nothing but a number: of a container in repair, of a node, of an order."""
    for app, table in (("containers", containers.urls), ("orders", orders.urls)):
        for pattern in table.urlpatterns:
            asked = set(pattern.pattern.converters)
            if asked - {"pk"}:
                continue
            key = repaired if str(pattern.pattern).startswith("containers") else 1
            address = reverse(f"{app}:{pattern.name}", kwargs=dict.fromkeys(asked, key))
            yield address
            if "/files/" in address:
                yield f"{address}?path=/etc/hostname"


def test_every_page_can_be_heard_and_hit_on_a_telephone(sign_in: SignIn) -> None:
    page = sign_in("admin", width=360)
    page.goto("/containers/?q=legacy")
    repaired = page.get_by_role("link", name="legacy", exact=True).get_attribute("href") or ""
    looked_at = 0
    for address in ["/", "/account/email/", *addresses(int(repaired.strip("/").split("/")[-1]))]:
        answer = page.request.get(address)
        if answer.ok and "html" in answer.headers["content-type"]:
            page.goto(address)
            assert page.evaluate(COMPLAINTS) == [], address
            looked_at += 1
    assert looked_at > 20


def test_a_dialog_goes_by_its_question_and_what_came_of_it_is_read_out(sign_in: SignIn) -> None:
    page = sign_in("admin")
    page.goto("/containers/?q=photos")
    page.get_by_role("checkbox", name="Tick photos").press("Space")
    expect(page.locator("#announcer")).to_have_text("1 ticked")
    page.locator("#bulk").get_by_role("button", name="Restart").press("Enter")
    dialog = page.get_by_role("dialog", name="Restart 1 container?")
    dialog.get_by_role("button", name="Restart 1").press("Enter")
    close = page.get_by_role("dialog", name="Restart", exact=True).get_by_role("link", name="Close")
    expect(close).to_be_focused()
    expect(close).to_have_accessible_description("photos accepted")


def test_a_button_of_a_row_says_what_came_of_it_and_gives_the_focus_to_its_menu(
    sign_in: SignIn, let_go: LetGo
) -> None:
    page = sign_in("admin")
    page.goto("/containers/?q=shop-db")
    menu = page.get_by_label("Actions for shop-db")
    menu.press("Enter")
    page.locator("details[open]").get_by_role("button", name="Restart").press("Enter")
    expect(page.locator("#announcer")).to_have_text("shop-db is Stopping.")
    expect(menu).to_be_focused()


def test_a_list_on_paper_is_dark_on_white_and_has_nothing_to_press(sign_in: SignIn) -> None:
    page = sign_in("admin")
    page.goto("/containers/")
    page.evaluate("localStorage.setItem('theme', 'dark')")
    page.reload()
    page.emulate_media(media="print")
    name = page.locator("tr[data-status] a.name").first
    expect(name).to_have_css("color", "rgb(22, 32, 44)")
    expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
    expect(page.get_by_role("button").or_(page.get_by_role("checkbox"))).to_have_count(0)
