"""No page wants what its Content-Security-Policy forbids: `sign_in` fails where one did."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SignIn

PAGES = ["/", "/containers/", "/activity/", "/plans/", "/orders/", "/orders/new/"]
ACCOUNT = ["/account/email/", "/account/password/change/", "/account/second-factor/"]
NODES = ["/nodes/", "/nodes/add/", "/nodes/1/", "/nodes/1/usage/", "/nodes/1/move/"]
MODELS = [
    "containers/container", "containers/node", "containers/operation", "containers/statuschange",
    "containers/filechange", "orders/order", "orders/payment", "orders/plan", "orders/system",
    "panel/user",
]  # fmt: skip
FORMS = ["/admin/orders/plan/add/", "/admin/orders/system/add/", "/admin/panel/user/add/"]


@pytest.mark.parametrize(
    ("name", "pages"),
    [
        ("lena", [*PAGES, *ACCOUNT]),
        ("admin", [*PAGES, *NODES]),
        (
            "staff",
            ["/admin/", "/admin/orders/", *FORMS],
        ),
    ],
)
def test_no_page_wants_what_is_forbidden(name: str, pages: list[str], sign_in: SignIn) -> None:
    page = sign_in(name)
    for address in pages:
        page.goto(address)
        expect(page.locator("h1").first).to_be_visible()


def test_the_django_admin_works_under_it(sign_in: SignIn) -> None:
    page = sign_in("staff")
    for model in MODELS:
        page.goto(f"/admin/{model}/")
        expect(page.locator("#content h1")).to_be_visible()
        page.locator("#result_list tbody th a").first.click()
        expect(page.locator("#content h1")).to_be_visible()
    page.goto("/admin/orders/plan/add/")
    page.get_by_label("Name").fill("Tiny")
    page.locator("#id_systems_from option").first.dblclick()
    expect(page.locator("#id_systems_to option")).to_have_count(1)
