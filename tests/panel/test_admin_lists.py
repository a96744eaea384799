"""The lists of the Django admin: what their address may ask, and that no address breaks them."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.test import Client

from containers.models import Node
from panel.admin_lists import GuardedAdmin
from panel.models import User
from tests.cast import OrderFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def something_to_list(lena: User, node: Node) -> None:
    OrderFactory.create(customer=lena)


@pytest.mark.parametrize(
    "address",
    [
        "panel/user/?last_login__year=99999",
        "panel/user/?last_login__year=9999999999999",
        "orders/order/?ordered_at__year=9999",
        "orders/order/?ordered_at__year=9999&ordered_at__month=12",
        "orders/order/?id__in=a",
        "containers/statuschange/?at__year=9999999",
        "containers/container/?id__exact=99999999999999999999999",
    ],
)
def test_what_no_row_can_have_leads_to_the_whole_list(address: str, as_sten: Client) -> None:
    answer = as_sten.get(f"/admin/{address}", follow=True)
    assert answer.status_code == 200
    if answer.redirect_chain:
        assert answer.redirect_chain == [(f"/admin/{address.partition('?')[0]}?e=1", 302)]


@pytest.mark.parametrize(
    "address",
    [
        "orders/order/?token__startswith=a",
        "orders/payment/?token__startswith=a",
        "orders/payment/?extra_data__contains=pi",
        "containers/node/?settings__certificate__startswith=x",
        "containers/node/?settings__isnull=False",
        "containers/operation/?request_id__startswith=a",
        "panel/user/?password__startswith=pbkdf2",
        "panel/user/?date_joined__year=99999",
        "orders/order/?status__regex=(",
        "orders/order/?status__iregex=(",
    ],
)
def test_a_list_tells_of_no_column_that_it_does_not_show(address: str, as_sten: Client) -> None:
    assert as_sten.get(f"/admin/{address}").status_code == 400


@pytest.mark.parametrize(
    "address",
    [
        "orders/order/?status__exact=unpaid",
        "orders/order/?plan__id__exact=1",
        "orders/order/?stuck=yes",
        "orders/order/?id__in=1,2",
        "orders/payment/?owed=yes",
        "containers/container/?node__isnull=True",
        "panel/user/?is_active__exact=1",
    ],
)
def test_a_list_is_filtered_by_what_it_shows(address: str, as_sten: Client) -> None:
    assert as_sten.get(f"/admin/{address}").status_code == 200


def test_every_list_of_the_panels_own_keeps_to_it() -> None:
    own = [
        listed
        for listed in admin.site._registry.values()
        if not type(listed).__module__.startswith(("django.", "allauth."))
    ]
    assert len(own) > 9
    assert all(isinstance(listed, GuardedAdmin) for listed in own)
