"""Lists that are longer than anybody counts: honest counts, pages from both ends, and search."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.db.models import F
from django.test import Client

from containers import counting, search
from containers.counting import Count, counts_by_status
from containers.models import Container, Node, StatusChange, raw_indexes
from containers.paging import Pages
from containers.statuses import Status
from containers.views import container_list, list_poll
from containers.views.container_list import SORTINGS
from containers.views.list_poll import Way
from panel.compiled import Kept
from panel.models import User
from tests.cast import ContainerFactory, UserFactory
from tests.containers.test_listing import chips, names, poll

pytestmark = pytest.mark.django_db

BOUND = 60


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of more than sixty is long."""
    patience(monkeypatch, BOUND)


def patience(monkeypatch: pytest.MonkeyPatch, bound: int) -> None:
    for module in (counting, container_list, list_poll):
        monkeypatch.setattr(module, "FAR_ENOUGH", bound)
    for kept in ("_counts", "_pages", "_polls"):
        monkeypatch.setattr(container_list, kept, Kept(most=500))


@pytest.fixture
def many(lena: User, node: Node, other_node: Node) -> list[Container]:
    """A hundred and twenty that run on two nodes, and sixty that are only ordered, on none."""
    containers = [
        Container(
            customer=lena, name=f"c-{number:03}", plan="Small", cpus=1, memory_mb=1, disk_gb=1,
            system="Debian", image="debian", node=(node, other_node, None)[number % 3],
            status=Status.ORDERED if number % 3 == 2 else Status.RUNNING,
        )
        for number in range(180)
    ]  # fmt: skip
    return Container.objects.bulk_create(containers)


def test_a_count_says_when_it_was_given_up() -> None:
    assert [str(Count.of(number)) for number in (0, 7, 60, 61)] == ["0", "7", "60", "60+"]
    assert str(Count(60) + Count(60, more=True)) == "120+"
    assert str(Count(1_000, more=True)) == "1,000+"


def test_counts_go_as_far_as_anybody_counts(many: list[Container]) -> None:
    counts = counts_by_status(Container.objects.all(), Status.values)
    assert counts[Status.RUNNING] == Count(60, more=True)
    assert counts[Status.ORDERED] == Count(60)
    assert counts[Status.STOPPED] == Count(0)
    assert set(counts_by_status(Container.objects.none(), Status.values).values()) == {Count()}


SORTS = [*SORTINGS, *(f"-{name}" for name in SORTINGS), ""]


@pytest.mark.parametrize("sort", SORTS)
def test_a_long_list_reads_the_same_from_both_ends(
    sort: str, as_ada: Client, many: list[Container], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"/containers/?sort={sort}&page="
    from_the_front = [name for page in (1, 2) for name in names(as_ada.get(f"{address}{page}"))]
    from_the_end = [name for page in (-2, -1) for name in names(as_ada.get(f"{address}{page}"))]
    patience(monkeypatch, 1_000)
    whole = [name for page in (1, 2, 3, 4) for name in names(as_ada.get(f"{address}{page}"))]
    assert len(set(whole)) == 180
    assert from_the_front == whole[:100]
    assert from_the_end == whole[-100:]


@pytest.mark.parametrize("sort", SORTS)
def test_a_long_list_of_one_node_is_sorted_like_a_short_one(
    sort: str,
    as_ada: Client,
    node: Node,
    many: list[Container],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = f"/containers/?sort={sort}&node={node.pk}"
    patience(monkeypatch, 50)
    long = names(as_ada.get(address)), names(as_ada.get(f"{address}&page=-1"))
    patience(monkeypatch, 1_000)
    short = names(as_ada.get(address)), names(as_ada.get(f"{address}&page=2"))
    assert long[0] == short[0]
    assert long[1][-10:] == short[1]


def test_a_page_that_was_not_counted_leads_to_the_nearest_that_was(
    as_ada: Client, many: list[Container]
) -> None:
    text = as_ada.get("/containers/?page=999").content.decode()
    assert 'id="page-first"' in text
    assert 'id="page-last" class="btn small" href="?page=-1"' in text
    assert 'id="page-next"' not in text
    assert "Last page" in as_ada.get("/containers/?page=-1").content.decode()


def test_pages_of_a_short_list_can_be_counted_from_the_end(many: list[Container]) -> None:
    pages = Pages.of(Container.objects.filter(status=Status.ORDERED))
    assert pages.get_page("-1").number == pages.get_page("99").number == pages.num_pages == 2


def test_a_long_history_is_read_from_both_ends_like_any_other_list(
    as_lena: Client, container: Container
) -> None:
    status = Status.STOPPED
    StatusChange.objects.bulk_create(
        StatusChange(container=container, to_status=status, because=f"change-{number:03}")
        for number in range(120)
    )
    address = f"{container.get_absolute_url()}activity/"
    first, last = (as_lena.get(f"{address}?page={page}").content.decode() for page in (1, -1))
    assert re.findall(r"change-\d+", first)[0] == "change-119"
    assert re.findall(r"change-\d+", last)[-1] == "change-000"
    assert "60+" in first
    assert 'id="page-last"' in first
    assert 'id="page-first"' in last


@pytest.mark.parametrize(
    "address",
    ["", "?sort=node", "?sort=customer&status=running", "?q=c-0", "?q=c-01", "?q=c-&sort=node"],
)
def test_a_poll_of_a_long_list_is_empty_until_something_changes(
    address: str, as_ada: Client, many: list[Container]
) -> None:
    page = as_ada.get(f"/containers/{address}")
    assert poll(as_ada, page).status_code == 204
    shown = re.findall(r'<tr id="container-(\d+)"', page.content.decode())
    Container.objects.filter(pk=shown[-1]).update(revision=2)
    assert poll(as_ada, page).status_code == 200


@pytest.mark.parametrize(
    "address", ["", "?sort=node&page=-1", "?status=running&sort=name", "?q=c-0", "?q=c-01", "?q=-"]
)
def test_a_list_takes_six_queries_and_a_poll_three(
    address: str, as_ada: Client, many: list[Container], django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(6):
        page = as_ada.get(f"/containers/{address}")
    with django_assert_max_num_queries(3):
        assert poll(as_ada, page).status_code == 204


@pytest.mark.parametrize("address", ["", "?q=c-01"])
def test_a_poll_tells_of_what_is_on_another_page(
    address: str, as_ada: Client, many: list[Container]
) -> None:
    page = as_ada.get(f"/containers/{address}")
    Container.objects.filter(name__in=["c-015", "c-001"]).update(
        status=Status.STOPPED, revision=F("revision") + 1
    )
    assert poll(as_ada, page).status_code == 200


def test_what_a_poll_may_tell_is_told_anew_when_somebodys_role_changes(
    as_ada: Client, ada: User, node: Node, many: list[Container]
) -> None:
    page = as_ada.get(f"/containers/?node={node.pk}")
    assert poll(as_ada, page).status_code == 204
    User.objects.filter(pk=ada.pk).update(is_administrator=False, is_staff=False)
    assert poll(as_ada, page).status_code == 200


def test_a_search_finds_what_stands_anywhere_in_a_name(as_ada: Client, lena: User) -> None:
    ContainerFactory.create(customer=lena, name="shop-front-1", on_node=False)
    for text in ("front", "op-fr", "SHOP", "sh", "s", "nt-1"):
        assert names(as_ada.get("/containers/", {"q": text})) == ["shop-front-1"], text
    for text in ("fr", "frond", '"', "%", "_", "front*", "front OR shop"):
        assert names(as_ada.get("/containers/", {"q": text})) == [], text


def test_a_search_that_finds_too_much_says_so(as_ada: Client, many: list[Container]) -> None:
    page = as_ada.get("/containers/?q=c-1&sort=name")
    assert "60+" in page.content.decode()
    assert names(page) == [f"c-{number}" for number in range(100, 150)]
    assert chips(as_ada.get("/containers/?q=c-10"))["all"] == 10


@pytest.mark.parametrize(
    ("sort", "narrowed", "numbers"),
    [
        *((sort, "", [1, 2, -2, -1]) for sort in SORTS),
        *((sort, "&status=running&plan=Small", [1, -1]) for sort in ("", "-node", "customer")),
    ],
)
@pytest.mark.parametrize("way", [Way.EARLY, Way.LOOKED_UP, Way.ALONG_THE_SORT])
def test_a_search_that_finds_much_is_sorted_like_one_that_finds_little(
    sort: str,
    way: Way,
    narrowed: str,
    numbers: list[int],
    as_ada: Client,
    many: list[Container],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "LOOKED_THROUGH", 180 if way is Way.EARLY else 0)
    monkeypatch.setattr(search, "SORTED", 180 if way is Way.LOOKED_UP else 0)
    address = f"/containers/?q=c-&sort={sort}{narrowed}&page="
    pages = {number: as_ada.get(f"{address}{number}") for number in numbers}
    for page in pages.values():
        # Of the parts of a list that is sorted by node, the first may have less than a page.
        assert "node" in sort or f"seen={way}" in page.content.decode()
        assert poll(as_ada, page).status_code == 204

    patience(monkeypatch, 1_000)
    read = [name for number in (1, 2, 3, 4) for name in names(as_ada.get(f"{address}{number}"))]
    whole = list(dict.fromkeys(read))
    expected = {1: whole[:50], 2: whole[50:100], -2: whole[-100:-50], -1: whole[-50:]}
    for number, page in pages.items():
        assert names(page) == expected[number]


def test_a_search_finds_nothing_by_its_indexes_where_that_is_too_much(
    many: list[Container], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "SORTED", 180)
    assert search.all_if_few(Container.objects.all(), "c-").count() == 180
    monkeypatch.setattr(search, "SORTED", 179)
    assert search.all_if_few(Container.objects.all(), "c-").count() == 0


def test_a_new_name_is_found_and_an_old_one_is_not(as_ada: Client, lena: User) -> None:
    made = ContainerFactory.create(customer=lena, name="before", on_node=False)
    Container.objects.filter(pk=made.pk).update(name="after")
    assert names(as_ada.get("/containers/?q=after")) == ["after"]
    assert names(as_ada.get("/containers/?q=before")) == []


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL keeps its index itself")
@pytest.mark.parametrize("trigger", ["containers_name_added", "panel_names_added"])
def test_an_index_of_names_is_made_anew_when_a_migration_has_dropped_its_triggers(
    trigger: str, as_ada: Client
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER {trigger}")
    zoe = UserFactory.create(username="zoe", last_name="Okonkwo")
    ContainerFactory.create(customer=zoe, name="missed", on_node=False)
    text = {"containers_name_added": "missed", "panel_names_added": "okon"}[trigger]
    assert names(as_ada.get(f"/containers/?q={text}")) == []
    raw_indexes.make_indexes(apps.get_app_config("containers"), using="default")
    assert names(as_ada.get(f"/containers/?q={text}")) == ["missed"]


def test_customers_are_found_by_their_names(as_ada: Client) -> None:
    zoe = UserFactory.create(
        username="zoe", first_name="Zoë Al", last_name="Okonkwo", email="zoe@example.com"
    )
    ContainerFactory.create(customer=zoe, name="hers", on_node=False)
    for text in ("okon", "OKON", "oe", "l ok", "Al Okonkwo", "zoë al o", "Zoe@example.com"):
        assert names(as_ada.get("/containers/", {"q": text})) == ["hers"], text
    for text in ("oko nkwo", "Okonkwo Al", "zoe@", '"okon"', "okon*", "okon OR zoe"):
        assert names(as_ada.get("/containers/", {"q": text})) == [], text
    User.objects.filter(pk=zoe.pk).update(last_name="Adeyemi")
    assert names(as_ada.get("/containers/?q=okon")) == []
    assert names(as_ada.get("/containers/?q=adey")) == ["hers"]


@pytest.mark.parametrize("text", ["okon", "zoe okon", "al okon"])
def test_people_are_found_by_the_trigrams_of_their_names(text: str) -> None:
    if connection.vendor == "sqlite":
        assert "SCAN panel_user" not in search.people(text).explain()
        return
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    assert "panel_user_trigrams" in search.people(text).explain()
