"""No other site makes a browser do anything here."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from tests.security.addresses import addresses, admin_addresses
from tests.security.conftest import House, knock

# Gateways hold no token of ours; what they send, they sign.
GATEWAYS = {"process_payment", "static_process_payment"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_is_done_without_the_token_of_a_page(
    method: str, house: House, browsers: dict[str, Client]
) -> None:
    browser = browsers["superuser"]
    browser.handler.enforce_csrf_checks = True
    done = {
        address.name
        for address in [*addresses(), *admin_addresses()]
        if knock(browser, method, house.at(address)).status_code != 403
    }
    assert done == GATEWAYS


def test_with_it_a_page_works(house: House, lena: object) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(house.container.customer)
    place = reverse("orders:cancel", args=[house.order.pk])
    page = browser.get(place).content.decode()
    token = page.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    assert browser.post(place, {"csrfmiddlewaretoken": token}).status_code == 302
    house.order.refresh_from_db()
    assert house.order.status == house.order.Status.CANCELLED
