"""The dashboards, the health check, and people in the Django admin."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from payments import PaymentStatus

from containers.models import Container, Node, Operation
from containers.reports import lose
from containers.statuses import Status
from orders import checkout
from panel.models import User
from tests.cast import ContainerFactory, NodeFactory, OrderFactory, UserFactory

pytestmark = pytest.mark.django_db


def test_a_customers_dashboard_shows_their_own_and_what_waits_to_be_paid(
    as_lena: Client, lena: User, omar: User
) -> None:
    ContainerFactory.create(customer=lena, name="mine")
    ContainerFactory.create(customer=omar, name="his")
    order = OrderFactory.create(customer=lena)
    page = as_lena.get("/").content.decode()
    assert "mine" in page
    assert "his" not in page.replace("this", "").replace("history", "")
    assert f"See order {order.pk}" in page


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (Status.ORDERED, "blog waits to be paid."),
        (Status.RUNNING, "Order {pk} is not paid yet."),
        (Status.DESTROYED, None),
    ],
)
def test_a_customers_dashboard_says_what_a_payment_would_begin(
    as_lena: Client, lena: User, status: Status, says: str | None
) -> None:
    container = ContainerFactory.create(customer=lena, name="blog", status=status, on_node=False)
    order = OrderFactory.create(customer=lena, container=container)
    page = as_lena.get("/").content.decode()
    assert (f"See order {order.pk}" in page) == (says is not None)
    assert ("It is created as soon as" in page) == (status == Status.ORDERED)
    assert (says or "").format(pk=order.pk) in page


def test_of_many_unpaid_orders_a_customers_dashboard_shows_the_newest_and_leads_to_the_others(
    as_lena: Client, lena: User
) -> None:
    for _ in range(10):
        OrderFactory.create(customer=lena)
    page = as_lena.get("/").content.decode()
    shown = [int(pk) for pk in re.findall(r"See order (\d+)", page)]
    assert shown == list(lena.orders.values_list("pk", flat=True))[:8]
    assert 'href="/orders/?status=unpaid"' in page


def test_a_customers_dashboard_says_what_is_wrong_with_a_container(
    as_lena: Client, lena: User
) -> None:
    ContainerFactory.create(customer=lena, problem="It did not boot.")
    assert "It did not boot." in as_lena.get("/").content.decode()


def test_no_tile_moves_when_something_begins_to_move(as_lena: Client, lena: User) -> None:
    def tiles() -> list[str]:
        return re.findall(r'id="tile-(\w+)"', as_lena.get("/").content.decode())

    at_rest = tiles()
    assert at_rest == ["ordered", "running", "repairing", "stopped", "destroyed", "offline"]
    for status in (Status.BOOTING, Status.CREATING, Status.STOPPED, Status.DESTROYED):
        ContainerFactory.create(customer=lena, status=status, on_node=False)
    assert tiles() == [*at_rest, "creating", "booting"]


def test_an_administrators_dashboard_shows_what_needs_somebody(
    as_ada: Client, lena: User, node: Node
) -> None:
    stuck = ContainerFactory.create(customer=lena, node=node, status=Status.BOOTING, name="stuck")
    stuck.operations.update(deadline_at=timezone.now() - timedelta(hours=1))
    failed = ContainerFactory.create(customer=lena, node=node, name="broken")
    Operation.objects.create(
        container=failed, kind="start", was="stopped", during="booting", outcome="failed",
        error="It did not boot.", ended_at=timezone.now(), deadline_at=timezone.now(),
    )  # fmt: skip
    paid = OrderFactory.create(customer=lena, status="paid", paid_at=timezone.now())
    page = as_ada.get("/").content.decode()
    for text in ("Stuck", "stuck", "It did not boot.", "Paid, not created", f"order {paid.pk}"):
        assert text in page
    assert node.name in page


def test_money_that_is_to_be_given_back_is_there_until_it_was(
    as_sten: Client, as_lena: Client, lena: User, sten: User
) -> None:
    order = OrderFactory.create(customer=lena)
    payment = checkout.open_payment(order, lena)
    checkout.cancel(order, lena)
    assert as_sten.get("/").context["owing"] == []
    payment.change_status(PaymentStatus.CONFIRMED)
    assert "Money to be given back" in as_sten.get("/").content.decode()
    assert as_sten.get("/").context["owing"] == [order]
    assert "Money to be given back" not in as_lena.get("/").content.decode()
    checkout.give_back(payment, sten)
    assert as_sten.get("/").context["owing"] == []


def test_of_what_fails_again_and_again_the_last_try_is_shown_and_how_many_there_were(
    as_ada: Client, lena: User
) -> None:
    begun = timezone.now() - timedelta(hours=1)
    failures = [("broken", "create")] * 10 + [("other", "create"), ("broken", "start")]
    containers = {
        name: ContainerFactory.create(customer=lena, name=name) for name in ("broken", "other")
    }
    for number, (name, kind) in enumerate(failures):
        ended_at = begun + timedelta(minutes=number)
        Operation.objects.create(
            container=containers[name], kind=kind, was="ordered", during="creating",
            outcome="failed", error=f"Reason {number}.", ended_at=ended_at, deadline_at=ended_at,
        )  # fmt: skip
    shown = as_ada.get("/").content.decode().split('id="h-failed"')[1].split("</ul>")[0]
    assert re.findall(r"Reason \d+\.", shown) == ["Reason 11.", "Reason 10.", "Reason 9."]
    assert re.findall(r"\w+ times", shown) == ["10 times"]


def test_what_waits_says_when_it_is_tried_again_and_what_it_waits_for(
    as_ada: Client, lena: User, node: Node
) -> None:
    again = timezone.now() + timedelta(minutes=5)
    ContainerFactory.create(
        customer=lena, status=Status.ORDERED, problem="No room.", create_again_at=again
    )
    stuck = ContainerFactory.create(customer=lena, node=node, status=Status.BOOTING)
    stuck.operations.update(deadline_at=timezone.now() - timedelta(hours=1))
    page = as_ada.get("/").content.decode()
    assert re.search(r"No room\. The next try is at <time [^>]*>\d\d:\d\d:\d\d UTC</time>\.", page)
    assert f"start on {node.name}, not begun" in page
    lose(node, "no answer")
    page = as_ada.get("/").content.decode()
    assert f"start waits until {node.name} answers again" in page
    assert "not begun" not in page


def test_of_many_nodes_the_dashboard_shows_a_few_those_off_line_first(as_ada: Client) -> None:
    for number in range(10):
        NodeFactory.create(name=f"node-{number}", online=number != 9)
    shown = [node.name for node in as_ada.get("/").context["nodes"]]
    assert shown == ["node-9", *(f"node-{number}" for number in range(7))]
    assert "8 of 10, off-line first" in as_ada.get("/").content.decode()


def test_a_panel_without_nodes_leads_whoever_can_to_add_one(
    as_ada: Client, as_sten: Client
) -> None:
    for browser, leads in ((as_ada, True), (as_sten, False)):
        assert ('href="/nodes/add/"' in browser.get("/").content.decode()) == leads


def test_the_dashboard_polls_like_every_live_page(as_ada: Client, container: Container) -> None:
    page = as_ada.get("/").content.decode()
    address = page.split('id="dashboard" data-poll hx-get="')[1].split('"')[0]
    assert as_ada.get(address, headers={"HX-Request": "true"}).status_code == 204
    as_ada.post(f"/containers/{container.pk}/act/", {"action": "start"})
    fresh = as_ada.get(address, headers={"HX-Request": "true"})
    assert fresh.status_code == 200
    assert fresh.content.decode().lstrip().startswith("<section")


def test_health_is_told_to_anybody(client: Client) -> None:
    assert client.get("/healthz").status_code == 200


def test_health_says_when_the_database_is_gone(client: Client) -> None:
    with patch.object(connection, "cursor", side_effect=OSError):
        assert client.get("/healthz").status_code == 503


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model.__name__)
def test_every_admin_page_opens_for_a_superuser(
    client_of: Any, model: Any, container: Container, lena: User
) -> None:
    OrderFactory.create(customer=lena)
    root = UserFactory.create(username="root", is_staff=True, is_superuser=True)
    browser = client_of(root)
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    assert browser.get(reverse(f"{name}_changelist"), {"q": "x"}).status_code == 200
    row = model.objects.first()
    if row is not None:
        assert browser.get(reverse(f"{name}_change", args=[row.pk])).status_code == 200


@pytest.mark.parametrize("model", [Container, Operation], ids=lambda model: model.__name__)
def test_what_must_be_kept_cannot_be_deleted_in_the_admin(
    client_of: Any, model: Any, lena: User, node: Node
) -> None:
    ContainerFactory.create(customer=lena, node=node, status=Status.BOOTING)
    root = UserFactory.create(username="root", is_staff=True, is_superuser=True)
    row = model.objects.get()
    address = reverse(f"admin:containers_{model._meta.model_name}_delete", args=[row.pk])
    assert client_of(root).post(address, {"post": "yes"}).status_code == 403
    assert model.objects.exists()


def test_the_admin_acts_through_the_same_door(client_of: Any, container: Container) -> None:
    root = UserFactory.create(
        username="root", is_staff=True, is_superuser=True, is_administrator=True
    )
    browser = client_of(root)
    address = reverse("admin:containers_container_changelist")
    for _ in range(2):
        browser.post(address, {"action": "start", "_selected_action": [container.pk]})
    operation = Operation.objects.get()
    assert (operation.kind, operation.asked_by) == ("start", root)


def test_staff_cannot_give_themselves_rights(client_of: Any, sten: User) -> None:
    from django.contrib.auth.models import Permission

    sten.user_permissions.set(Permission.objects.filter(content_type__app_label="panel"))
    browser = client_of(sten)
    customer = UserFactory.create(username="newcomer")
    address = reverse("admin:panel_user_change", args=[customer.pk])
    page = browser.get(address)
    assert page.status_code == 200
    assert 'name="is_superuser"' not in page.content.decode()
    own = reverse("admin:panel_user_change", args=[sten.pk])
    assert 'name="is_superuser"' not in browser.get(own).content.decode()
    assert browser.post(own, {"username": "sten", "is_superuser": "on"}).status_code == 403
