"""What the pages of a container say of it: what to do next, what failed, when, and for whom."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from containers import operations
from containers.models import Container, Node
from containers.statuses import Status
from orders.models import Order
from panel.models import User
from tests.cast import ContainerFactory, OrderFactory
from tests.conftest import Clock, Worker
from tests.containers.acts import ask_and_wait, broken

pytestmark = pytest.mark.django_db


def page_of(browser: Client, container: Container, tab: str = "") -> str:
    """The words of a page, and its marks, in one line."""
    page = browser.get(f"{container.get_absolute_url()}{tab}").content.decode()
    return " ".join(page.split())


def test_what_is_in_repair_runs_again_after_stop_and_start(
    as_lena: Client, container: Container
) -> None:
    way = "When you are done, press Stop, then Start: only then does it run again."
    assert way in page_of(as_lena, container, "files/")
    Container.objects.update(status=Status.REPAIRING)
    assert way in page_of(as_lena, container)


def test_a_restart_is_called_so_while_the_container_stops(
    as_lena: Client, lena: User, node: Node
) -> None:
    container = ContainerFactory.create(customer=lena, node=node, status=Status.RUNNING)
    operations.request(container.pk, "restart", by=lena)
    assert '<h2 id="h-operation">Restart</h2>' in page_of(as_lena, container)


def test_a_move_says_where_it_goes(
    as_lena: Client, lena: User, ada: User, node: Node, other_node: Node
) -> None:
    container = ContainerFactory.create(customer=lena, node=node, status=Status.STOPPED)
    operations.request(container.pk, "migrate", by=ada)
    assert f'<h2 id="h-operation">Migrate to {other_node.name}</h2>' in page_of(as_lena, container)


@pytest.fixture
def refused(container: Container, node: Node, worker: Worker, lena: User) -> Container:
    """Its node has refused to start it, as Lena had asked."""
    broken(node, failing=True)
    return ask_and_wait(container, "start", worker, lena)


def test_a_failure_says_what_failed_when_and_for_whom(
    as_lena: Client, refused: Container, clock: Clock
) -> None:
    clock.advance(by=timedelta(minutes=3, seconds=20))
    note = re.sub("<time [^>]*>|</time>", "", page_of(as_lena, refused))
    assert "<b>Start failed 3 min ago, asked by Lena Fischer:</b> The node refused." in note


def test_what_did_not_come_of_work_names_none(as_lena: Client, refused: Container) -> None:
    Container.objects.update(problem="The connection is broken.")
    page = page_of(as_lena, refused)
    assert "<b>The connection is broken.</b>" in page
    assert "failed" not in page.partition('<nav class="tabs"')[0]


@pytest.mark.parametrize("person", ["as_lena", "as_ada", "as_sten"])
def test_a_case_for_support_is_called_so_to_customers_and_to_support(
    person: str, refused: Container, request: pytest.FixtureRequest
) -> None:
    browser, own = request.getfixturevalue(person), refused.get_absolute_url()
    for address in ("/", "/containers/", "/activity/", own, f"{own}activity/"):
        page = browser.get(address).content.decode()
        assert "If it happens twice, it is a case for support" in page, address
        assert "sk support" not in page, address


def test_a_customer_whose_creation_has_failed_is_not_told_to_do_what_only_others_can(
    as_lena: Client, lena: User, node: Node, worker: Worker
) -> None:
    order = OrderFactory.create(customer=lena, status=Order.Status.PAID)
    broken(node, failing=True)
    operations.request(order.container_id, "create", by=None)
    worker.carry_out_all()
    page = page_of(as_lena, order.container)
    assert "The node refused." in page
    assert "The next try is at" in page
    assert "ry again" not in page


def test_what_failed_is_announced(as_lena: Client, refused: Container) -> None:
    announced = f'data-announce="web-01 is Stopped. {refused.problem}"'
    assert announced in page_of(as_lena, refused)


def test_a_failure_costs_the_page_no_further_query(
    as_lena: Client, refused: Container, django_assert_num_queries: Any
) -> None:
    with CaptureQueriesContext(connection) as failed:
        page_of(as_lena, refused)
    refused.operations.update(outcome="done", error="")
    Container.objects.update(problem="")
    with django_assert_num_queries(len(failed)):
        page_of(as_lena, refused)


def test_the_history_of_a_container_tells_days_and_times(
    as_lena: Client, container: Container, lena: User, settings: Settings, clock: Clock
) -> None:
    settings.TIME_ZONE = "Europe/Vienna"
    operations.request(container.pk, "repair", by=lena)
    container.changes.update(at=datetime(2025, 3, 24, 10, 39, 7, tzinfo=UTC))
    clock.advance(by=datetime(2025, 3, 27, tzinfo=UTC) - clock.now())
    assert ">24 Mar, 11:39<" in page_of(as_lena, container)
    assert ">24 Mar, 11:39:07<" in page_of(as_lena, container, "activity/")
    everything = as_lena.get("/activity/").content.decode()
    assert ">24 Mar, 11:39:07<" in everything
    assert "When (CET)" in everything


def test_how_long_work_took_is_told_in_minutes(
    container: Container, lena: User, worker: Worker, clock: Clock
) -> None:
    operations.request(container.pk, "start", by=lena)
    clock.advance(200)
    worker.carry_out_all()
    assert re.fullmatch(r"took 3 min 2\d s", container.changes.latest("pk").because)


@pytest.mark.parametrize(
    ("tab", "leads_to"),
    [("", ""), ("usage/", "usage/"), ("activity/", "activity/"), ("files/", "")],
)
def test_without_javascript_a_button_leads_back_to_its_tab_but_to_no_closed_files(
    as_lena: Client, container: Container, tab: str, leads_to: str
) -> None:
    Container.objects.update(status=Status.REPAIRING)
    page = container.get_absolute_url()
    [back] = re.findall(r'name="next" value="([^"]*)"', page_of(as_lena, container, tab))
    answer = as_lena.post(f"{page}act/", {"action": "stop", "next": back}, follow=True)
    assert answer.redirect_chain == [(f"{page}{leads_to}", 302)]
    assert "You asked to stop web-01." in answer.content.decode()
