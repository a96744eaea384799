"""However long a name is, and however wide the reader has text set: no page is wider for it, and
nothing sticks out of its card."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SignIn
from tests.browser.test_customer import order

LONG = "a" * 63
STICKS_OUT = """() => {
  const within = document.documentElement;
  const wide = within.scrollWidth > within.clientWidth ? ['the page'] : [];
  const out = [...document.querySelectorAll('.card *, .head *')].filter((element) => {
    const edge = element.closest('.card, .head').getBoundingClientRect().right;
    const cut = element.matches('td') && element.scrollWidth > element.clientWidth;
    return cut || element.getBoundingClientRect().right > edge + 1;
  });
  return wide.concat(out.map((element) => element.outerHTML.slice(0, 80)));
}"""

# As much as WCAG 1.4.12 has a page bear.
SPACED = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`* { line-height: 1.5 !important; letter-spacing: .12em !important;
    word-spacing: .16em !important } p { margin-bottom: 2em !important }`);
  document.adoptedStyleSheets.push(sheet);
}"""


def sticks_out(page: Page, address: str) -> list[str]:
    page.goto(address)
    return [str(found) for found in page.evaluate(STICKS_OUT)]


@pytest.fixture(scope="module")
def ordered() -> list[str]:
    """Where the order of the long name is, once it was placed."""
    return []


@pytest.fixture
def its_order(sign_in: SignIn, ordered: list[str]) -> str:
    if not ordered:
        page = sign_in("lena")
        order(page, LONG)
        ordered.append(page.url)
    return ordered[0]


@pytest.mark.parametrize("width", [360, 741, 1000, 1024, 1280, 1440])
def test_an_administrators_lists_hold_it(sign_in: SignIn, its_order: str, width: int) -> None:
    page = sign_in("admin", width=width)
    for address in ("/", "/containers/", "/orders/", "/activity/", its_order):
        assert sticks_out(page, address) == [], address


@pytest.mark.parametrize("address", ["/containers/?q=lena", "/orders/?q=lena"])
@pytest.mark.parametrize("width", [1000, 1440])
def test_short_names_stay_on_one_line_beside_it(
    sign_in: SignIn, its_order: str, width: int, address: str
) -> None:
    page = sign_in("admin", width=width)
    page.goto(address)
    lines = page.locator("td.word:visible").evaluate_all(
        """cells => cells.map((cell) => {
          const text = document.createRange();
          text.selectNodeContents(cell);
          return new Set([...text.getClientRects()].map(({ top }) => Math.round(top / 8))).size;
        })"""
    )
    assert set(lines) == {1}


@pytest.mark.parametrize("selector", [".badge.mono", ".check label"])
def test_images_and_addresses_hold_it(sign_in: SignIn, selector: str) -> None:
    page = sign_in("admin", width=360)
    page.goto("/nodes/1/" if "badge" in selector else "/account/email/")
    page.locator(selector).first.evaluate("(place, name) => { place.textContent = name; }", LONG)
    assert page.evaluate(STICKS_OUT) == []


@pytest.mark.parametrize("width", [360, 1024, 1440])
def test_a_customers_pages_hold_it(sign_in: SignIn, its_order: str, width: int) -> None:
    page = sign_in("lena", width=width)
    for address in ("/", "/containers/", "/orders/", its_order):
        assert sticks_out(page, address) == [], address


def test_what_is_the_matter_with_a_container_holds_it(sign_in: SignIn) -> None:
    page = sign_in("admin", width=360)
    page.goto("/containers/?q=cache")
    page.locator(".problem > span").first.evaluate(
        "(place, name) => { place.textContent = name; }", LONG
    )
    assert page.evaluate(STICKS_OUT) == []


@pytest.fixture
def nodes_with_one_out_of_service(sign_in: SignIn) -> Iterator[Page]:
    page = sign_in("admin")
    page.goto("/nodes/1/")
    page.get_by_role("button", name="Take out of service").click()
    expect(page.get_by_role("button", name="Put into service")).to_be_visible()
    page.goto("/nodes/")
    yield page
    page.goto("/nodes/1/")
    page.get_by_role("button", name="Put into service").click()
    expect(page.get_by_role("button", name="Take out of service")).to_be_visible()


@pytest.mark.parametrize("width", [320, 741, 1001, 1024])
def test_the_list_of_nodes_holds_it_with_one_out_of_service(
    nodes_with_one_out_of_service: Page, width: int
) -> None:
    page = nodes_with_one_out_of_service
    page.set_viewport_size({"width": width, "height": 900})
    page.locator(".title .name").evaluate_all(
        "(names, long) => { for (const name of names) name.textContent = long; }", LONG
    )
    assert page.evaluate(STICKS_OUT) == []


@pytest.mark.parametrize("width", [320, 360, 741, 861])
def test_the_list_of_nodes_holds_text_that_is_set_wide(
    nodes_with_one_out_of_service: Page, width: int
) -> None:
    page = nodes_with_one_out_of_service
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate(SPACED)
    assert page.evaluate(STICKS_OUT) == []


@pytest.mark.parametrize("width", [360, 741])
@pytest.mark.parametrize("address", ["/containers/", "/orders/"])
def test_a_list_holds_names_that_are_long_and_set_wide(
    sign_in: SignIn, address: str, width: int
) -> None:
    page = sign_in("admin", width=width)
    page.goto(address)
    page.evaluate(SPACED)
    page.locator("td[data-label=Node], td[data-label=Plan]").evaluate_all(
        "(cells, long) => { for (const cell of cells) cell.textContent = long; }", LONG
    )
    assert page.evaluate(STICKS_OUT) == []


def test_the_head_of_a_card_holds_it(sign_in: SignIn) -> None:
    page = sign_in("admin", width=360)
    page.goto("/nodes/1/")
    page.locator(".card > header > h2").first.evaluate(
        "(head, long) => { head.textContent = `Migrate to ${long}`; }", LONG
    )
    assert page.evaluate(STICKS_OUT) == []


def test_what_came_of_it_keeps_its_shape_beside_it(sign_in: SignIn) -> None:
    page = sign_in("admin")
    page.goto("/containers/?q=tickets")
    page.get_by_role("checkbox", name="Tick tickets").check()
    page.locator("#bulk").get_by_role("button", name="Restart").click()
    dialog = page.locator("#dialog")
    dialog.get_by_role("button", name="Restart 1").click()
    mark = dialog.locator(".status")
    before = mark.bounding_box()
    dialog.locator("a.name").evaluate("(name, long) => { name.textContent = long; }", LONG)
    after = mark.bounding_box()
    assert before is not None
    assert after is not None
    assert after["height"] == before["height"]


def test_a_reason_has_the_whole_width_of_a_telephone(sign_in: SignIn) -> None:
    page = sign_in("admin", width=360)
    page.goto("/activity/")
    box = page.locator("td.wrap").first.bounding_box()
    assert box is not None
    assert box["width"] > 280
