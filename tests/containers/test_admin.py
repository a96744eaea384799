"""Containers and nodes in the Django admin: looked at, and acted on once that is confirmed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models.signals import pre_save
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from containers import counting
from containers.models import Action, Container, Node, Operation
from containers.statuses import Status
from containers.views.act import AT_ONCE
from panel.admin_lists import BoundedAdmin
from panel.models import User
from tests.cast import ContainerFactory, OrderFactory, UserFactory

pytestmark = pytest.mark.django_db
LIST = "/admin/containers/container/"


@pytest.fixture
def office(client_of: Callable[[User], Client]) -> Client:
    """The browser of an administrator who may do everything in the Django admin, too."""
    return client_of(
        UserFactory.create(username="root", is_staff=True, is_superuser=True, is_administrator=True)
    )


def act(office: Client, action: str, *ticked: Container, at: str = LIST, **more: str) -> Any:
    sent = {"action": action, "_selected_action": [row.pk for row in ticked], **more}
    return office.post(at, sent, follow=True)


def hidden(page: str, name: str) -> list[str]:
    return re.findall(rf'<input type="hidden" name="{name}" value="([^"]*)">', page)


@pytest.mark.parametrize(
    ("action", "status"),
    [
        (action, arrow_from)
        for action in Container.actions().values()
        for arrow_from in Container.sources_of(action.name)[:1]
    ],
    ids=lambda given: given.name if isinstance(given, Action) else given,
)
def test_what_the_table_warns_of_is_asked_first_and_the_rest_is_done_at_once(
    office: Client,
    lena: User,
    node: Node,
    other_node: Node,
    settings: Any,
    action: Action,
    status: str,
) -> None:
    settings.STOP_PATIENCE = settings.STOP_PATIENCE * 0
    where = None if status == Status.ORDERED else node
    container = ContainerFactory.create(customer=lena, node=where, status=status)
    before = container.revision
    page = act(office, action.name, container).content.decode()
    container.refresh_from_db()
    asked = bool(action.warning)
    assert (action.warning in page, f"{action.label}: 1 container?" in page) == (True, asked)
    assert (container.revision == before) == asked
    if asked:
        answer = {"confirmed": "yes", "name": action.phrase(1)}
        assert "accepted" in act(office, action.name, container, **answer).content.decode()
        container.refresh_from_db()
        assert container.revision > before


def test_the_question_tells_what_it_is_about_and_what_cannot_be_done_and_why(
    office: Client, lena: User, node: Node
) -> None:
    stopped = [ContainerFactory.create(customer=lena, node=node) for _ in range(2)]
    runs = ContainerFactory.create(customer=lena, node=node, status=Status.RUNNING, name="runs")
    page = act(office, "destroy", *stopped, runs).content.decode()
    assert "Destroy: 2 containers?" in page
    assert "Of those ticked, 1 cannot" in page
    assert "runs is Running now: Destroy is not possible." in page
    assert {int(pk) for pk in hidden(page, "_selected_action")} == {row.pk for row in stopped}


def test_what_is_to_be_said_of_one_of_those_ticked_is_said_before_anything_is_done(
    office: Client, lena: User, node: Node
) -> None:
    unpaid = OrderFactory.create(customer=lena).container
    page = act(office, "create", unpaid).content.decode()
    assert f"Order {unpaid.order.pk} is not paid. Create it all the same?" in page
    assert not Operation.objects.exists()
    assert "accepted" in act(office, "create", unpaid, confirmed="yes").content.decode()
    assert Operation.objects.get(kind="create").container == unpaid


def test_where_none_of_those_ticked_can_nothing_is_asked(
    office: Client, lena: User, node: Node
) -> None:
    runs = ContainerFactory.create(customer=lena, node=node, status=Status.RUNNING)
    page = act(office, "destroy", runs, confirmed="yes", name="destroy 0").content.decode()
    assert "Destroy is not possible" in page
    assert Container.actions()["destroy"].warning not in page
    assert 'type="submit" value="Yes' not in page
    assert not Operation.objects.exists()


@pytest.mark.parametrize("typed", ["", "destroy 3", "web-01"])
def test_what_was_typed_wrong_is_said_next_to_the_field_and_nothing_is_lost(
    office: Client, lena: User, node: Node, typed: str
) -> None:
    ticked = [ContainerFactory.create(customer=lena, node=node) for _ in range(2)]
    answer = act(office, "destroy", *ticked, confirmed="yes", name=typed)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert re.search(r'id="typed-error"><li>Type destroy 2, or', page)
    assert re.search(rf'name="name" value="{typed}" .* aria-describedby="typed-error"', page)
    assert len(hidden(page, "_selected_action")) == 2
    assert not Operation.objects.exists()
    act(office, "destroy", *ticked, confirmed="yes", name=" destroy 2 ")
    assert Operation.objects.filter(kind="destroy").count() == 2


def test_of_those_ticked_one_that_has_left_the_filter_meanwhile_is_told_of(
    office: Client, lena: User, node: Node, other_node: Node
) -> None:
    stopped = ContainerFactory.create(customer=lena, node=node)
    begun = ContainerFactory.create(customer=lena, node=node, status=Status.BOOTING)
    filtered = f"{LIST}?status=stopped"
    answer = act(office, "migrate", stopped, begun, at=filtered, confirmed="yes")
    assert answer.redirect_chain == [(filtered, 302)]
    assert "is Booting now: Migrate is not possible." in answer.content.decode()
    assert Operation.objects.get(kind="migrate").container == stopped


@pytest.mark.parametrize("action", ["stop", "migrate"])
def test_more_than_a_person_can_look_through_are_left_alone(
    office: Client, container: Container, action: str
) -> None:
    Container.objects.bulk_create(
        Container(
            customer=container.customer, name=f"c-{n}", cpus=1, memory_mb=1, disk_gb=1,
            status=Status.RUNNING,
        )
        for n in range(AT_ONCE)
    )  # fmt: skip
    page = act(office, action, container, select_across="1", confirmed="yes")
    assert f"tick {AT_ONCE} at most" in page.content.decode()
    assert not Operation.objects.exists()


LONG = [shown for shown in admin.site._registry.values() if isinstance(shown, BoundedAdmin)]


@pytest.mark.parametrize("shown", LONG, ids=str)
def test_a_list_that_may_be_long_looks_through_no_more_than_it_counts(
    office: Client, shown: BoundedAdmin
) -> None:
    address = reverse(f"admin:{shown.opts.app_label}_{shown.opts.model_name}_changelist")
    with CaptureQueriesContext(connection) as asked:
        assert office.get(address).status_code == 200
    through = [each["sql"] for each in asked if f'FROM "{shown.opts.db_table}"' in each["sql"]]
    assert any("COUNT(" in sql for sql in through)
    for sql in through:
        assert "LIMIT" in sql or "COUNT(" not in sql, sql
        assert "DISTINCT" not in sql, sql
        assert "MIN(" not in sql, sql


def test_a_list_too_long_to_be_counted_says_so(
    office: Client, lena: User, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    ContainerFactory.create_batch(4, customer=lena, node=node)
    assert "4 containers" in office.get(LIST).content.decode()
    monkeypatch.setattr(counting, "FAR_ENOUGH", 3)
    page = office.get(LIST).content.decode()
    assert "3+ containers" in page
    assert "All 3+ selected" in page
    assert "3+ results" in office.get(f"{LIST}?q=web").content.decode()


@pytest.mark.parametrize("model", ["operation", "statuschange"])
@pytest.mark.parametrize("text", ["web-01", "ct-{0.pk}", "Lena Fischer"])
@pytest.mark.parametrize(("far_enough", "sorted_"), [(1000, 1000), (0, 1000), (0, 0)])
def test_what_happened_to_a_container_is_found_as_in_the_activity(
    office: Client, container: Container, omar: User, node: Node, text: str, model: str,
    far_enough: int, sorted_: int, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("containers.search.FAR_ENOUGH", far_enough)
    monkeypatch.setattr("containers.search.SORTED", sorted_)
    for each in (container, ContainerFactory.create(customer=omar, node=node, name="other")):
        act(office, "start", each)
    address = f"/admin/containers/{model}/"
    with CaptureQueriesContext(connection) as asked:
        found = office.get(address, {"q": text.format(container)}).context["cl"].queryset
    assert [row.container for row in found] == [container]
    # Of a statement that is prepared, PostgreSQL's text is not kept.
    read = [str(each["sql"]).partition("WHERE")[2] for each in asked]
    assert not [conditions for conditions in read if "because" in conditions]


@pytest.mark.parametrize("text", ["ct-{0.pk}", "eb-0", "Lena Fischer", "{0.address}"])
@pytest.mark.parametrize(("far_enough", "sorted_"), [(1000, 1000), (0, 1000), (0, 0)])
def test_a_container_is_found_as_on_the_panels_own_pages_however_many_there_are(
    office: Client, container: Container, omar: User, node: Node, text: str,
    far_enough: int, sorted_: int, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("containers.search.FAR_ENOUGH", far_enough)
    monkeypatch.setattr("containers.search.SORTED", sorted_)
    User.objects.filter(pk=container.customer_id).update(username="k4711")
    ContainerFactory.create(customer=omar, node=node, name="other")
    Container.objects.filter(pk=container.pk).update(name="web-01", address="10.7.0.1")
    container.refresh_from_db()
    found = office.get(LIST, {"q": text.format(container)}).context["cl"].queryset
    assert list(found) == [container]


@pytest.mark.parametrize(
    ("model", "asked"), [("container", "plan=Large"), ("operation", "kind=start")]
)
def test_a_list_is_narrowed_by_what_is_known_beforehand(
    office: Client, lena: User, node: Node, model: str, asked: str
) -> None:
    for plan, status in (("Large", Status.BOOTING), ("Small", Status.STOPPING)):
        ContainerFactory.create(customer=lena, node=node, plan=plan, status=status)
    page = office.get(f"/admin/containers/{model}/?{asked}").content.decode()
    assert f"?{asked}" in page
    assert f"1 {model}" in page


def test_a_container_is_looked_at_and_never_saved(office: Client, container: Container) -> None:
    address = f"{LIST}{container.pk}/change/"
    assert "_save" not in office.get(address).content.decode()
    assert office.post(address, {"_save": "Save"}).status_code == 403


def test_saving_a_node_leaves_what_the_watcher_wrote_meanwhile(office: Client, node: Node) -> None:
    def watcher(instance: Node, **_: Any) -> None:
        Node.objects.filter(pk=instance.pk).update(online=False, misses=3, problem="No answer.")

    typed = {"name": node.name, "cpus": 8, "memory_mb": node.memory_mb, "disk_gb": node.disk_gb}
    pre_save.connect(watcher, sender=Node)
    try:
        office.post(f"/admin/containers/node/{node.pk}/change/", typed)
    finally:
        pre_save.disconnect(watcher, sender=Node)
    node.refresh_from_db()
    assert (node.cpus, node.in_service) == (8, False)
    assert (node.online, node.misses, node.problem) == (False, 3, "No answer.")


def test_a_simulated_node_keeps_the_name_of_its_folder(office: Client, node: Node) -> None:
    typed = {"name": "other", "cpus": 8, "memory_mb": node.memory_mb, "disk_gb": node.disk_gb}
    office.post(f"/admin/containers/node/{node.pk}/change/", typed)
    node.refresh_from_db()
    assert (node.name, node.cpus) == ("node-a", 8)


def test_one_whose_order_was_cancelled_is_called_withdrawn(office: Client, lena: User) -> None:
    gone = ContainerFactory.create(
        customer=lena, status=Status.ORDERED, withdrawn_at=timezone.now(), name="never"
    )
    page = act(office, "create", gone).content.decode()
    assert ">Withdrawn</td>" in page
    assert ">Withdrawn</div>" in office.get(f"{LIST}{gone.pk}/change/").content.decode()
    assert "The order of never was taken back: Create is not possible." in page
