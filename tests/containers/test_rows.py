"""Rows that look alike are rendered once for everybody, and are nobody else's for it."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from containers.models import Container
from containers.statuses import Status
from containers.views.rows import Listed, as_rows, as_shown, with_buttons
from panel.models import User
from tests.cast import ContainerFactory, NodeFactory, OrderFactory, PlanFactory

pytestmark = pytest.mark.django_db


def rows_in(browser: Client, address: str = "/containers/") -> str:
    return browser.get(address).content.decode().partition("<tbody>")[2].partition("</tbody>")[0]


def test_each_person_has_their_own_buttons_whoever_looked_before(
    as_ada: Client, as_lena: Client, as_sten: Client, lena: User
) -> None:
    ContainerFactory.create(customer=lena, status=Status.STOPPED)
    offered = {"ada": ["start", "repair", "migrate", "destroy"], "lena": ["start", "repair"]}
    for _ in range(2):
        for browser, name in ((as_ada, "ada"), (as_lena, "lena"), (as_sten, "sten")):
            pressed = re.findall(r'name="action" value="(\w+)"', rows_in(browser))
            assert pressed == offered.get(name, [])


def test_the_forms_of_each_row_bear_the_token_and_the_place_of_the_page_that_they_are_on(
    as_lena: Client, as_omar: Client, lena: User, omar: User
) -> None:
    tokens = []
    for browser, person in ((as_lena, lena), (as_omar, omar)):
        ContainerFactory.create(customer=person)
        for address in ("/containers/?sort=name", "/containers/?sort=plan"):
            rows = rows_in(browser, address)
            tokens += re.findall(r'name="csrfmiddlewaretoken" value="(\w{64})"', rows)
            assert re.findall(r'name="next" value="([^"]+)"', rows) == [f"{address}&amp;page=1"]
    assert len(set(tokens)) == 4


@pytest.mark.parametrize("status", list(Status))
def test_a_row_shows_what_it_is_in_each_status(as_ada: Client, lena: User, status: Status) -> None:
    row = ContainerFactory.create(customer=lena, status=status)
    shown = rows_in(as_ada, f"/containers/?status={status}")
    assert f'<tr id="container-{row.pk}" data-status="{status}">' in shown
    assert f">{status.label}</span>" in shown
    assert ("data-transient" in shown) is row.is_transient


def test_a_row_shows_how_far_its_work_is_and_where_it_leads(as_ada: Client, lena: User) -> None:
    for progress in (30, 60):
        moving = ContainerFactory.create(customer=lena, status=Status.MIGRATING)
        moving.operations.update(
            progress=progress, target=NodeFactory.create(name=f"to-{progress}")
        )
    shown = rows_in(as_ada)
    assert re.findall(r"(\d+) %</progress>", shown) == ["60", "30"]
    assert re.findall(r"→ (\S+)</td>", shown) == ["to-60", "to-30"]


def test_one_that_is_on_no_node_yet_bears_the_number_of_its_order(
    as_lena: Client, lena: User
) -> None:
    ordered = ContainerFactory.create(customer=lena, status=Status.ORDERED)
    order = OrderFactory.create(container=ordered, plan=PlanFactory.create())
    running = ContainerFactory.create(customer=lena, status=Status.RUNNING)
    OrderFactory.create(container=running, plan=PlanFactory.create())
    numbers = re.findall(r'<div class="sub">([^<]+)</div>', rows_in(as_lena))
    assert numbers == [running.instance_name, f"order {order.pk}"]


def test_rows_are_read_at_once_and_are_what_django_makes_of_them(
    lena: User, django_assert_num_queries: DjangoAssertNumQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Or else what is shown twice may be a second older the second time.
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    for status in Status:
        ContainerFactory.create(customer=lena, status=status)
    moving = Container.objects.get(status=Status.MIGRATING)
    moving.operations.update(progress=30, target=NodeFactory.create())
    moving.operations.create(outcome="failed", kind="stop", deadline_at=moving.ordered_at)
    listed = Listed(Container.objects.order_by("pk"))
    with django_assert_num_queries(1):
        rows = list(listed)
        shown = as_rows(with_buttons(rows, lena), lena)
    known = list(as_shown(Container.objects.order_by("pk")))
    assert rows == known
    assert shown == as_rows(with_buttons(with_no_order(known), lena), lena)
    for read, row in zip(rows, known, strict=True):
        for name in read.__dict__.keys() - {"_state", "buttons"}:
            assert getattr(read, name) == getattr(row, name), name


def with_no_order(rows: list[Container]) -> list[Container]:
    for row in rows:
        row.order_number = None
    return rows
