"""A customer turns on the second factor, signs in with it, and turns it off again."""

from __future__ import annotations

import time

from playwright.sync_api import Page, expect

from panel.demo import PASSWORD
from tests.browser.conftest import SignIn
from tests.panel.test_second_factor import code


def confirm(page: Page) -> None:
    """The password once more, where the panel wants to know that it is still them."""
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()


def code_that_lasts(page: Page, secret: str) -> str:
    """What the telephone shows, once it is good for as long as a busy machine takes to send it."""
    left = 30 - time.time() % 30
    if left < 10:
        page.wait_for_timeout(1000 * left + 100)
    return code(secret)


def sign_out(page: Page) -> None:
    page.get_by_label("Account of").click()
    page.get_by_role("button", name="Sign out").click()


def test_with_a_second_factor_the_password_is_not_enough(sign_in: SignIn) -> None:
    page = sign_in("omar")
    page.get_by_label("Account of").click()
    page.get_by_role("link", name="Second factor").click()
    page.get_by_role("link", name="Activate").click()
    confirm(page)
    expect(page.get_by_alt_text("A QR code of the secret below")).to_be_visible()
    secret = page.get_by_label("Authenticator secret").input_value()
    page.get_by_label("Authenticator code").fill(code_that_lasts(page, secret))
    page.get_by_role("button", name="Activate").click()
    recovery = page.get_by_label("Unused codes").input_value().split()
    assert len(recovery) == 10
    sign_out(page)
    page.get_by_label("User name or e-mail").fill("omar")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    page.goto("/containers/")
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    page.get_by_label("Code").fill(recovery[0])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("Account of")).to_be_visible()
    page.goto("/account/second-factor/totp/deactivate/")
    confirm(page)
    page.get_by_role("button", name="Deactivate").click()
    expect(page.get_by_text("An authenticator app is not active.")).to_be_visible()
