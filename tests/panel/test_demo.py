"""The demo: what it makes up hangs together, and nobody meets it where it has no business."""

from __future__ import annotations

from itertools import pairwise

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from payments import PaymentStatus
from pytest_django import Settings

from containers.connect import simulated
from containers.models import Container, FileChange, Node, Operation, StatusChange
from containers.observe import Watcher
from containers.statuses import TRANSIENT, Status
from orders.models import Order, OrderChange, Payment
from panel import demo
from panel.models import User
from tests.cast import UserFactory

SIGN_IN = "/account/login/"
PEOPLE = ["admin", "staff", "lena", "omar"]


@pytest.fixture
def the_demo(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without weeks of use, which take most of its time: see test_demo_usage.py."""
    monkeypatch.setattr(demo, "measure", lambda now: None)
    demo.make()


@pytest.mark.usefixtures("the_demo")
class TestTheDemo:
    def test_there_is_a_container_in_every_status(self) -> None:
        listed = Container.objects.filter(withdrawn_at=None)
        assert set(listed.values_list("status", flat=True)) == set(Status)
        assert listed.count() > 30

    def test_the_nodes_agree_with_every_row(self) -> None:
        rows = Container.objects.order_by("pk").values("pk", "status", "address", "revision")
        before = list(rows.all())
        told = StatusChange.objects.count()
        watcher = Watcher()
        for _ in range(2):
            watcher.ask()
            watcher.collect(seconds=10)
        assert list(rows.all()) == before
        assert StatusChange.objects.count() == told

    def test_each_history_leads_step_by_step_to_what_is(self) -> None:
        for container in Container.objects.all():
            changes = list(container.changes.order_by("pk"))
            steps = [(change.from_status, change.to_status) for change in changes]
            assert steps[0] == ("", Status.ORDERED)
            assert all(one[1] == other[0] for one, other in pairwise(steps)), container
            assert steps[-1][1] == container.status
            assert changes[-1].at == container.status_since
            assert changes[0].at == container.ordered_at

    def test_each_order_leads_step_by_step_to_what_is(self) -> None:
        for order in Order.objects.all():
            steps = list(order.changes.order_by("pk").values_list("from_status", "to_status"))
            assert steps[0] == ("", Order.Status.UNPAID)
            assert all(one[1] == other[0] for one, other in pairwise(steps)), order
            assert steps[-1][1] == order.status

    def test_what_was_paid_has_one_payment_and_what_was_not_has_none(self) -> None:
        for order in Order.objects.all():
            paid = order.status in {Order.Status.PAID, Order.Status.FULFILLED}
            assert Payment.objects.kept().filter(order=order).count() == paid, order
        refunded = Order.objects.get(status=Order.Status.REFUNDED)
        assert [p.status for p in refunded.payments.all()] == [PaymentStatus.REFUNDED]

    def test_things_are_listed_in_the_order_in_which_they_happened(self) -> None:
        for rows, time in (
            (StatusChange, "at"),
            (OrderChange, "at"),
            (FileChange, "at"),
            (Operation, "asked_at"),
            (Container, "ordered_at"),
            (Order, "ordered_at"),
        ):
            times = list(rows.objects.order_by("pk").values_list(time, flat=True))
            assert times == sorted(times), rows
            assert times[-1] <= timezone.now()

    def test_work_is_under_way_exactly_where_the_status_says_so(self) -> None:
        for container in Container.objects.all():
            is_open = container.operations.open().exists()
            if container.status != Status.OFFLINE:
                assert is_open == (container.status in TRANSIENT), container
        assert Operation.objects.open().filter(container__status=Status.OFFLINE).exists()

    def test_somebody_has_to_act_on_an_order_that_is_paid_and_not_created(self) -> None:
        assert [order.container.name for order in Order.objects.paid_not_created()] == ["backup"]

    def test_what_was_edited_in_repair_is_in_the_file(self) -> None:
        change = FileChange.objects.get(path="/etc/nginx/nginx.conf")
        container = change.container
        assert container.status == Status.REPAIRING
        assert container.node is not None
        node = simulated(container.node)
        content = b"".join(node.read_file(container.instance_name, change.path))
        assert b"worker_connections 2048" in content
        assert len(content) == change.size

    def test_lena_and_omar_have_something_to_start_to_stop_and_to_pay(self) -> None:
        for username in ("lena", "omar"):
            theirs = set(
                Container.objects.filter(customer__username=username).values_list("status")
            )
            assert {(Status.RUNNING,), (Status.STOPPED,)} <= theirs
        assert Order.objects.filter(customer__username="lena", status="unpaid").exists()

    def test_the_people_of_the_demo_can_sign_in_and_nobody_else(self, client: Client) -> None:
        for username in PEOPLE:
            assert client.login(username=username, password=demo.PASSWORD), username
        others = User.objects.exclude(username__in=PEOPLE)
        assert others
        assert not any(user.has_usable_password() for user in others)

    def test_staff_look_after_plans_orders_and_accounts_in_the_admin(self, client: Client) -> None:
        client.force_login(User.objects.get(username="staff"))
        for page in ("orders/plan", "orders/order", "orders/payment", "panel/user"):
            assert client.get(f"/admin/{page}/").status_code == 200, page
        assert client.get("/admin/orders/plan/add/").status_code == 200
        assert client.get("/admin/containers/container/").status_code == 200
        assert client.get("/admin/auth/group/").status_code == 403

    def test_the_sign_in_page_names_the_people_and_their_password(self, client: Client) -> None:
        page = client.get(SIGN_IN)
        shown = page.context["demo_people"]
        assert [person["username"] for person in shown] == PEOPLE
        assert demo.PASSWORD in page.content.decode()

    def test_one_click_on_the_sign_in_page_signs_in(self, client: Client) -> None:
        person = client.get(SIGN_IN).context["demo_people"][2]
        answer = client.post(SIGN_IN, {"login": person["username"], "password": person["password"]})
        assert answer.status_code == 302
        assert client.get("/").context["user"].username == "lena"

    def test_it_is_not_mixed_into_what_is_there(self) -> None:
        before = Container.objects.count()
        with pytest.raises(CommandError, match="Something is stored here already"):
            call_command("demo")
        call_command("demo", if_empty=True)
        assert Container.objects.count() == before


def test_where_somebody_has_an_account_no_demo_is_made(db: None) -> None:
    UserFactory.create()
    with pytest.raises(demo.NotHere):
        demo.make()
    assert not Node.objects.exists()


def test_where_the_panel_is_reached_through_https_no_demo_is_made(
    db: None, settings: Settings
) -> None:
    settings.HTTPS = True
    with pytest.raises(demo.NotHere):
        demo.make()
    assert not User.objects.exists()


def test_without_a_demo_the_sign_in_page_names_nobody(db: None, client: Client) -> None:
    UserFactory.create(username="lena")
    page = client.get(SIGN_IN)
    assert page.context["demo_people"] == []
    assert demo.PASSWORD not in page.content.decode()


def test_the_sign_in_page_names_nobody_through_https(
    db: None, settings: Settings, client: Client
) -> None:
    UserFactory.create(username="lena", is_demo=True)
    settings.HTTPS = True
    assert client.get(SIGN_IN).context["demo_people"] == []


@pytest.mark.parametrize("way", ["their own", "staff", "console"])
def test_the_sign_in_page_offers_no_password_that_was_changed(
    way: str, as_sten: Client, client: Client
) -> None:
    person = UserFactory.create(username="lena", is_demo=True)
    other = UserFactory.create(username="omar", is_demo=True)
    new = "a-new-Word-17"
    if way == "their own":
        client.force_login(person)
        typed = {"oldpassword": demo.PASSWORD, "password1": new, "password2": new}
        client.post("/account/password/change/", typed)
        client.logout()
    elif way == "staff":
        typed = {"usable_password": "true", "password1": new, "password2": new}
        as_sten.post(f"/admin/panel/user/{person.pk}/password/", typed)
    else:
        person.set_password(new)
        person.save()
    person.refresh_from_db()
    assert person.check_password(new)
    offered = client.get(SIGN_IN).context["demo_people"]
    assert [person["username"] for person in offered] == [other.username]
