"""The list: what it shows, how it is narrowed and sorted, and what a poll of it costs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from containers.models import Container, Node
from containers.statuses import TRANSIENT, Status
from orders.models import Order
from panel.models import User
from tests.cast import ContainerFactory, NodeFactory, OrderFactory, UserFactory

pytestmark = pytest.mark.django_db


def names(answer: Any) -> list[str]:
    """The names in the list, from above."""
    return re.findall(r'<a class="name" id="open-\d+" [^>]*>([^<]+)</a>', answer.content.decode())


def chips(answer: Any) -> dict[str, int]:
    found = re.findall(r'id="chip-(\w+)"[^>]*>[^<]+<b>(\d+)</b>', answer.content.decode())
    return {name: int(count) for name, count in found}


def poll(browser: Client, page: Any) -> Any:
    """What the page's script asks for, two or fifteen seconds later."""
    [address] = re.findall(r'id="containers" data-poll hx-get="([^"]+)"', page.content.decode())
    return browser.get(address.replace("&amp;", "&"), headers={"HX-Request": "true"})


def test_a_customer_sees_only_their_own(as_lena: Client, lena: User, omar: User) -> None:
    ContainerFactory.create(customer=lena, name="mine")
    ContainerFactory.create(customer=omar, name="his")
    assert names(as_lena.get("/containers/")) == ["mine"]


def test_only_those_who_see_everybodys_are_told_whose_each_is(
    as_lena: Client, as_ada: Client, lena: User
) -> None:
    ContainerFactory.create(customer=lena)
    for browser, told in ((as_lena, False), (as_ada, True)):
        text = browser.get("/containers/").content.decode()
        assert ('data-label="Customer"' in text) is told
        assert ('id="sort-customer"' in text) is told
        assert ("Search name, customer, address" in text) is told


@pytest.mark.parametrize("browser", ["as_ada", "as_sten"])
def test_administrators_and_staff_see_everybodys(
    browser: str, request: pytest.FixtureRequest, lena: User, omar: User
) -> None:
    ContainerFactory.create(customer=lena, name="hers")
    ContainerFactory.create(customer=omar, name="his")
    assert set(names(request.getfixturevalue(browser).get("/containers/"))) == {"hers", "his"}


def test_the_filters_show_what_is_chosen_and_no_name_is_markup(
    as_ada: Client, lena: User, node: Node
) -> None:
    plan = '<i>"A" & B'
    ContainerFactory.create(customer=lena, node=node, plan=plan)
    chosen = {"plan": plan, "node": str(node.pk)}
    page = as_ada.get("/containers/", chosen).content.decode()
    written = "&lt;i&gt;&quot;A&quot; &amp; B"
    assert f'<option value="{written}" selected>{written}</option>' in page
    assert f'<option value="{node.pk}" selected>{node}</option>' in page


def test_a_customer_is_offered_their_own_plans_to_choose_from(
    as_lena: Client, as_ada: Client, lena: User, omar: User
) -> None:
    ContainerFactory.create(customer=lena, plan="Small")
    ContainerFactory.create(customer=omar, plan="Made for Omar")
    assert "Made for Omar" not in as_lena.get("/containers/").content.decode()
    assert "Small" in as_lena.get("/containers/").content.decode()
    assert "Made for Omar" in as_ada.get("/containers/").content.decode()


def test_what_is_wrong_with_a_container_is_told_in_the_words_in_which_it_is_kept(
    as_lena: Client, lena: User
) -> None:
    words = "No other node has room for my-name-7 now."
    wrong = ContainerFactory.create(customer=lena, name="web-1", problem=words)
    text = as_lena.get("/containers/").content.decode()
    [link] = re.findall(r'<a class="problem"[^>]* href="([^"]+)" title="([^"]+)">', text)
    assert link == (wrong.get_absolute_url(), words)


def test_who_can_do_nothing_has_nothing_to_tick(
    as_lena: Client, as_sten: Client, lena: User
) -> None:
    stopped = ContainerFactory.create(customer=lena, status=Status.STOPPED)
    creating = ContainerFactory.create(customer=lena, status=Status.CREATING)
    hers, watched = (who.get("/containers/").content.decode() for who in (as_lena, as_sten))
    assert f'id="pick-{stopped.pk}"' in hers
    assert f'id="pick-{creating.pk}"' not in hers
    assert "You can do nothing with it now." in hers
    assert 'id="bulk"' in hers
    for nothing in ('id="bulk"', 'class="pick"', f'id="menu-{stopped.pk}"', 'class="end"'):
        assert nothing not in watched


def test_what_staff_ordered_for_themselves_they_act_on_in_the_same_list(
    as_sten: Client, sten: User, lena: User
) -> None:
    own, hers = (ContainerFactory.create(customer=who) for who in (sten, lena))
    text = as_sten.get("/containers/").content.decode()
    assert f'id="pick-{own.pk}"' in text
    assert f'id="pick-{hers.pk}"' not in text
    assert text.count('<td class="pick">') == text.count('<td class="end">') == 2


def test_two_of_the_same_name_are_told_apart_where_the_column_is_hidden(
    as_ada: Client, as_lena: Client, lena: User, omar: User
) -> None:
    for who in (lena, omar):
        ContainerFactory.create(customer=who, name="web-01")
    told = re.findall(r'class="whose"> · ([^<]+)<', as_ada.get("/containers/").content.decode())
    assert sorted(told) == sorted([str(lena), str(omar)])
    assert 'class="whose"' not in as_lena.get("/containers/").content.decode()


def test_what_rows_have_of_their_own_is_told_as_text(as_ada: Client, lena: User) -> None:
    omar = UserFactory.create(username="omar", first_name="", last_name="<b>5 % %(key)s</b>")
    shown = {"status": Status.STOPPED, "problem": "100 % \ue000nobody\ue001", "plan": "<i>"}
    his, hers = (ContainerFactory.create(customer=who, **shown) for who in (omar, lena))
    text = as_ada.get("/containers/").content.decode()
    for row, customer in ((his, "&lt;b&gt;5 % %(key)s&lt;/b&gt;"), (hers, "Lena Fischer")):
        assert (
            f'<a id="customer-{row.pk}" href="?customer={row.customer_id}">{customer}</a>' in text
        )
        assert f'id="pick-{row.pk}"' in text
    assert text.count('title="100 % \ue000nobody\ue001"') == 2
    assert '<td class="least word" data-label="Plan">&lt;i&gt;</td>' in text


def test_the_destroyed_are_hidden_unless_asked_for(as_lena: Client, lena: User) -> None:
    ContainerFactory.create(customer=lena, name="here")
    ContainerFactory.create(customer=lena, name="gone", status=Status.DESTROYED)
    page = as_lena.get("/containers/")
    assert names(page) == ["here"]
    assert chips(page) == {"all": 1, "stopped": 1, "destroyed": 1}
    assert names(as_lena.get("/containers/?status=destroyed")) == ["gone"]


@pytest.mark.parametrize("status", list(Status))
def test_each_status_can_be_asked_for(as_lena: Client, lena: User, status: Status) -> None:
    for each in Status:
        ContainerFactory.create(customer=lena, name=f"a-{each.value}", status=each, on_node=False)
    page = as_lena.get(f"/containers/?status={status.value}")
    assert names(page) == [f"a-{status.value}"]
    assert f'data-status="{status.value}"' in page.content.decode()
    assert chips(page)[status.value] == 1


def test_the_list_is_narrowed_by_node_plan_and_customer(
    as_ada: Client, lena: User, omar: User, node: Node, other_node: Node
) -> None:
    ContainerFactory.create(customer=lena, name="one", node=node, plan="Small")
    ContainerFactory.create(customer=omar, name="two", node=other_node, plan="Large")
    assert names(as_ada.get(f"/containers/?node={node.pk}")) == ["one"]
    assert names(as_ada.get("/containers/?plan=Large")) == ["two"]
    assert names(as_ada.get(f"/containers/?customer={omar.pk}")) == ["two"]


@pytest.mark.parametrize("name", ["node", "customer"])
@pytest.mark.parametrize("value", ["flying", "0", "-1", "1e309", "\x00", "9" * 19, "9" * 5000])
def test_what_makes_no_sense_narrows_nothing(
    as_ada: Client, container: Container, name: str, value: str
) -> None:
    page = as_ada.get("/containers/", {name: value})
    assert names(page) == ["web-01"]
    assert "Only containers of" not in page.content.decode()


def test_the_chips_of_what_comes_and_goes_are_last(as_lena: Client, lena: User) -> None:
    for status in Status:
        ContainerFactory.create(customer=lena, status=status, on_node=False)
    shown = list(chips(as_lena.get("/containers/")))
    assert shown[1:7] == ["ordered", "running", "repairing", "stopped", "destroyed", "offline"]
    assert set(shown[7:]) == TRANSIENT


def test_a_list_of_one_customer_says_so_and_leads_back_to_everybodys(
    as_ada: Client, as_omar: Client, lena: User, container: Container
) -> None:
    for found in ("", "&q=nothing-is-called-this"):
        only = as_ada.get(f"/containers/?customer={lena.pk}{found}").content.decode()
        assert "Only containers of <b>Lena Fischer</b>" in only
    assert "Lena" not in as_omar.get(f"/containers/?customer={lena.pk}").content.decode()
    nothing = as_ada.get("/containers/?customer=999").content.decode()
    assert "Only containers of <b>customer 999</b>" in nothing
    assert "Only containers of" not in as_ada.get("/containers/?customer=").content.decode()


def test_a_customer_cannot_narrow_by_a_node_that_is_not_theirs_to_know(
    as_lena: Client, container: Container
) -> None:
    assert names(as_lena.get(f"/containers/?node={container.node_id}")) == ["web-01"]


def test_search_finds_name_number_customer_and_address(as_ada: Client, lena: User) -> None:
    wanted = ContainerFactory.create(customer=lena, name="needle")
    Container.objects.filter(pk=wanted.pk).update(address="10.9.8.7")
    ContainerFactory.create(customer=UserFactory.create(username="zoe"), name="hay")
    for text in (
        "need",
        str(wanted.pk),
        f"ct-{wanted.pk}",
        f"CT-{wanted.pk}",
        "fisch",
        "lena f",
        "10.9.",
    ):
        assert names(as_ada.get("/containers/", {"q": text})) == ["needle"], text


def test_what_is_not_created_yet_is_found_by_its_order(as_ada: Client, lena: User) -> None:
    ContainerFactory.create_batch(3)
    order = OrderFactory.create(customer=lena)
    shown = f"order {order.pk}"
    assert shown in as_ada.get("/containers/").content.decode()
    assert names(as_ada.get("/containers/", {"q": shown})) == [order.container.name]


# The rows from above, sorted by each column: no two alike, nor one the other backwards; nor as by
# what nothing sorts by.
SORTED = {
    "name": "abcd",
    "status": "bdac",
    "since": "cabd",
    "customer": "dacb",
    "plan": "bcda",
    "node": "acdb",
    "address": "cbad",
}
FIRST_NAMES, MADE = "cdba", "adbc"


@pytest.mark.parametrize("column", SORTED)
def test_every_column_sorts_both_ways(as_ada: Client, column: str) -> None:
    statuses = sorted([Status.OFFLINE, Status.REPAIRING, Status.RUNNING, Status.STOPPED])
    for name in MADE:
        place = {each: rows.index(name) for each, rows in SORTED.items()}
        first_name = f"F{FIRST_NAMES.index(name)}"
        ContainerFactory.create(
            name=name,
            status=statuses[place["status"]],
            status_since=datetime(2026, 1, 1 + place["since"], tzinfo=UTC),
            customer=UserFactory.create(
                username=first_name, first_name=first_name, last_name=f"L{place['customer']}"
            ),
            plan=f"P{place['plan']}",
            node=NodeFactory.create(name=f"n{place['node']}"),
            address=f"10.0.0.{place['address']}",
        )
    assert "".join(names(as_ada.get(f"/containers/?sort={column}"))) == SORTED[column]
    assert "".join(names(as_ada.get(f"/containers/?sort=-{column}"))) == SORTED[column][::-1]


def test_pages_hold_every_row_once(as_ada: Client, node: Node, lena: User) -> None:
    made = [
        ContainerFactory.create(customer=lena, node=node, status=Status.RUNNING, on_node=False).name
        for _ in range(103)
    ]
    pages = [names(as_ada.get(f"/containers/?sort=status&page={n}")) for n in (1, 2, 3)]
    assert [len(page) for page in pages] == [50, 50, 3]
    assert sorted(name for page in pages for name in page) == sorted(made)
    assert names(as_ada.get("/containers/?sort=status&page=99")) == pages[2]


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    values=st.dictionaries(
        st.sampled_from(["q", "status", "node", "plan", "customer", "sort", "page", "seen"]),
        st.text(max_size=30) | st.integers().map(str) | st.sampled_from(["-", "ct-", "%", "\x00"]),
    )
)
def test_no_address_breaks_the_list(as_ada: Client, values: dict[str, str]) -> None:
    assert as_ada.get("/containers/", values).status_code == 200


def test_the_number_of_queries_does_not_grow_with_the_rows(
    as_ada: Client, node: Node, lena: User, django_assert_max_num_queries: Any
) -> None:
    for status in (*Status, Status.RUNNING, Status.BOOTING):
        ContainerFactory.create(customer=lena, node=node, status=status, on_node=False)
    for _ in range(5):
        OrderFactory.create(customer=lena)
    with django_assert_max_num_queries(8):
        as_ada.get("/containers/?status=&sort=customer")


def test_a_poll_with_nothing_new_is_empty(as_lena: Client, container: Container) -> None:
    page = as_lena.get("/containers/")
    answer = poll(as_lena, page)
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("address", ["/containers/", "/containers/?status=booting"])
def test_a_poll_of_a_list_with_nothing_on_it_is_empty_too(
    address: str, as_lena: Client, as_ada: Client, container: Container, lena: User
) -> None:
    if "status" not in address:
        Container.objects.update(status=Status.DESTROYED)
    page = as_lena.get(address)
    assert poll(as_lena, page).status_code == 204
    ContainerFactory.create(customer=lena, status=Status.RUNNING, on_node=False)
    assert poll(as_lena, page).status_code == 200


def test_a_poll_brings_the_fresh_section(
    as_lena: Client, as_ada: Client, container: Container
) -> None:
    page = as_lena.get("/containers/")
    as_ada.post(f"/containers/{container.pk}/act/", {"action": "start"})
    answer = poll(as_lena, page)
    assert answer.status_code == 200
    text = answer.content.decode()
    assert text.lstrip().startswith("<section")
    assert 'data-status="booting"' in text
    assert poll(as_lena, answer).status_code == 204


@pytest.mark.parametrize(
    ("status", "seconds"), [(Status.RUNNING, 15), (Status.BOOTING, 2), (Status.CREATING, 2)]
)
def test_the_page_asks_often_while_something_moves(
    as_lena: Client, lena: User, status: Status, seconds: int
) -> None:
    ContainerFactory.create(customer=lena, status=status, on_node=False)
    assert f'hx-trigger="every {seconds}s, refresh"' in as_lena.get("/containers/").content.decode()


def test_what_changes_elsewhere_in_the_list_shows_in_the_counts(
    as_ada: Client, lena: User, node: Node
) -> None:
    for _ in range(51):
        ContainerFactory.create(customer=lena, node=node, on_node=False)
    page = as_ada.get("/containers/?sort=name")
    last = Container.objects.order_by("-name", "pk").first()
    assert last is not None
    as_ada.post(f"/containers/{last.pk}/act/", {"action": "repair"})
    assert chips(poll(as_ada, page))["repairing"] == 1


def test_a_cancelled_order_takes_the_container_off_the_list(as_lena: Client, lena: User) -> None:
    order: Order = OrderFactory.create(customer=lena)
    assert names(as_lena.get("/containers/")) == [order.container.name]
    as_lena.post(f"/orders/{order.pk}/cancel/", {"confirmed": "yes"})
    assert names(as_lena.get("/containers/")) == []
    assert as_lena.get(f"/orders/{order.pk}/").status_code == 200


def test_a_signed_out_poll_is_sent_to_the_sign_in_page(
    as_lena: Client, container: Container
) -> None:
    page = as_lena.get("/containers/?status=stopped")
    as_lena.logout()
    [address] = re.findall(r'hx-get="(/containers/[^"]+)"', page.content.decode())
    answer = as_lena.get(
        address.replace("&amp;", "&"),
        headers={
            "HX-Request": "true",
            "HX-Current-URL": "http://testserver/containers/?status=stopped",
        },
    )
    assert answer.content == b""
    assert answer["HX-Redirect"] == "/account/login/?next=/containers/%3Fstatus%3Dstopped"


def test_the_row_says_where_a_migration_leads(
    as_ada: Client, lena: User, node: Node, other_node: Node
) -> None:
    moving = ContainerFactory.create(customer=lena, node=node, status=Status.MIGRATING)
    moving.operations.update(target=other_node, progress=41)
    page = as_ada.get("/containers/").content.decode()
    assert f"{node.name} → {other_node.name}" in page
    assert '<progress value="41"' in page
