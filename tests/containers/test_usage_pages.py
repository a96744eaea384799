"""The pages of usage: for whom they are, and that words, curves and numbers say the same."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from containers.models import Container, Node, Span, UsageSample
from containers.views.usage import PERIODS
from tests.cast import NodeFactory

NOW = datetime(2026, 3, 10, 12, 34, tzinfo=UTC)
MIB = 1024**2
SPANS = list(PERIODS)


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOW)


def put(subject: Container | Node, span: Span, begin: datetime, **fields: Any) -> None:
    owner = {"container" if isinstance(subject, Container) else "node": subject}
    default = {
        "cpu": 0.25,
        "memory_bytes": 256 * MIB,
        "disk_bytes": 5 * 1024 * MIB,
        "received": 2048.0,
        "sent": 4096.0,
    }
    UsageSample.objects.create(**owner, span=span, at=begin, **(default | fields))


def measured(subject: Container | Node) -> None:
    """Something of every span, in its latest bucket but one."""
    for period in PERIODS.values():
        put(subject, period.span, period.buckets(NOW)[-2])


def page_of(client: Client, subject: Container | Node, span: str = "day") -> str:
    kind = "containers" if isinstance(subject, Container) else "nodes"
    return client.get(f"/{kind}/{subject.pk}/usage/", {"span": span}).content.decode()


# --- for whom --------------------------------------------------------------------------------


def test_a_customer_sees_what_their_own_container_uses(
    container: Container, as_lena: Client
) -> None:
    measured(container)
    assert "Processor" in page_of(as_lena, container)


def test_administrators_and_staff_see_what_every_container_uses(
    container: Container, as_ada: Client, as_sten: Client
) -> None:
    measured(container)
    for client in (as_ada, as_sten):
        assert "Processor" in page_of(client, container)


def test_a_foreign_container_is_not_found(
    container: Container, as_omar: Client, client: Client
) -> None:
    url = f"/containers/{container.pk}/usage/"
    assert as_omar.get(url).status_code == 404
    assert as_omar.get(url, headers={"HX-Request": "true"}).status_code == 404
    assert client.get(url)["Location"].startswith("/account/login/")


def test_a_node_is_shown_to_administrators_alone(
    node: Node, as_ada: Client, as_lena: Client, as_sten: Client, client: Client
) -> None:
    measured(node)
    url = f"/nodes/{node.pk}/usage/"
    assert "of 16 cores" in page_of(as_ada, node)
    assert url in as_ada.get(f"/nodes/{node.pk}/").content.decode()
    for somebody in (as_lena, as_sten):
        assert somebody.get(url).status_code == 404
    assert client.get(url)["Location"].startswith("/account/login/")


def test_what_others_use_is_in_no_chart(
    container: Container, other_node: Node, as_lena: Client
) -> None:
    measured(container)
    put(other_node, Span.MINUTE, PERIODS["day"].buckets(NOW)[-3])
    assert container.node is not None
    put(container.node, Span.MINUTE, PERIODS["day"].buckets(NOW)[-3])
    charts = as_lena.get(f"/containers/{container.pk}/usage/").context["charts"]
    assert [len(chart.rows) for chart in charts] == [1, 1, 1, 1]


# --- what is shown ---------------------------------------------------------------------------


@pytest.mark.parametrize("span", SPANS)
def test_what_was_never_measured_says_so(
    container: Container, node: Node, as_ada: Client, span: str
) -> None:
    for subject in (container, node):
        page = page_of(as_ada, subject, span)
        assert "Nothing measured in this time" in page
        assert "<table" not in page


@pytest.mark.parametrize("span", SPANS)
def test_each_span_shows_its_own_samples(container: Container, as_lena: Client, span: str) -> None:
    measured(container)
    response = as_lena.get(f"/containers/{container.pk}/usage/", {"span": span})
    assert [len(chart.rows) for chart in response.context["charts"]] == [1, 1, 1, 1]
    [current] = re.findall(r'id="span-(\w+)" href="\S+" aria-current', response.content.decode())
    assert current == span


@pytest.mark.parametrize("span", ["", "century", "<b>"])
def test_a_span_that_there_is_not_is_a_day(
    container: Container, as_lena: Client, span: str
) -> None:
    response = as_lena.get(f"/containers/{container.pk}/usage/", {"span": span})
    assert response.context["period"] == PERIODS["day"]


def test_the_processor_is_a_part_of_what_the_plan_has(
    container: Container, as_lena: Client
) -> None:
    Container.objects.update(cpus=2)
    measured(container)
    page = page_of(as_lena, container)
    assert "of 2 cores" in page
    assert "<b>12.5 %</b>" in page


def test_the_latest_value_the_average_and_the_peak_are_in_words(
    container: Container, as_lena: Client
) -> None:
    for back, used in ((3, 128), (2, 512), (1, 256)):
        begin = PERIODS["day"].buckets(NOW)[-1 - back]
        put(container, Span.MINUTE, begin, memory_bytes=used * MIB)
    words = " ".join(re.sub(r"<[^>]+>", " ", page_of(as_lena, container)).split())
    words = words.replace("\xa0", " ")
    assert "of 1 GB 256 MB at 12:20 · 298.7 MB on average · peak 512 MB at 12:10" in words


@pytest.mark.parametrize("span", SPANS)
def test_the_numbers_of_the_table_are_those_of_the_curve(
    container: Container, as_lena: Client, span: str
) -> None:
    period = PERIODS[span]
    used = {5: 0.1, 4: 0.9, 2: 0.5}
    for back, cpu in used.items():
        put(container, period.span, period.buckets(NOW)[-back], cpu=cpu)
    page = page_of(as_lena, container, span)
    table = page[page.index("<tbody>") : page.index("</tbody>")]
    numbers = [float(cell) for cell in re.findall(r'class="num">([\d.]+) %<', table)]
    assert numbers == [100 * cpu for cpu in used.values()]
    [line] = re.findall(r'class="curve curve-1" d="([^"]+)"', page)[:1]
    drawn = re.findall(r"[ML]([\d.]+) ([\d.]+)", line)
    assert [float(x) for x, _ in drawn] == [period.count - back + 0.5 for back in used]
    # The scale ends at 100 %.
    assert [100 - float(y) for _, y in drawn] == pytest.approx(numbers)
    assert line.count("M") == 2
    tips = re.findall(r"<title>[^<]+: ([\d.]+) %</title>", page)
    assert [float(tip) for tip in tips] == numbers


def test_samples_of_one_bucket_are_averaged_by_their_weight(
    container: Container, as_lena: Client
) -> None:
    begin = PERIODS["day"].buckets(NOW)[-2]
    put(container, Span.MINUTE, begin, cpu=0.1, minutes=1)
    put(container, Span.MINUTE, begin + Span.MINUTE.length, cpu=0.4, minutes=2)
    assert "<b>30 %</b>" in page_of(as_lena, container)


def test_a_disk_of_which_the_node_cannot_tell_is_said_to_be_so(
    container: Container, as_lena: Client
) -> None:
    put(container, Span.MINUTE, PERIODS["day"].buckets(NOW)[-2], disk_bytes=None)
    page = page_of(as_lena, container)
    assert "The node cannot tell." in page
    assert page.count("<table") == 3


def test_a_node_of_which_nothing_is_known_yet_has_a_page(as_ada: Client) -> None:
    node = NodeFactory.create(cpus=0, memory_mb=0, disk_gb=0)
    measured(node)
    assert "Processor" in page_of(as_ada, node)


def test_every_chart_has_a_name_and_is_described_by_its_words(
    container: Container, as_lena: Client
) -> None:
    measured(container)
    page = page_of(as_lena, container)
    named = re.findall(r'aria-labelledby="(chart\S+)" aria-describedby="(\S+)"', page)
    assert len(named) == 4
    for label, words in named:
        assert f'<title id="{label}">' in page
        assert f'id="{words}"' in page
    assert page.count('role="img"') == 4
    assert "style=" not in page


def test_the_axis_goes_by_the_time_of_the_place(container: Container, as_lena: Client) -> None:
    put(container, Span.MINUTE, PERIODS["day"].buckets(NOW)[-2])
    with timezone.override("Europe/Berlin"):
        page = page_of(as_lena, container)
    assert "at 13:20" in page


# --- live ------------------------------------------------------------------------------------


def test_a_poll_gets_the_charts_alone(container: Container, node: Node, as_ada: Client) -> None:
    for url in (f"/containers/{container.pk}/usage/", f"/nodes/{node.pk}/usage/"):
        page = as_ada.get(url, {"span": "month"}, headers={"HX-Request": "true"}).content.decode()
        assert page.startswith('<section class="stack" id="usage"')
        assert "?span=month" in page


def test_the_head_stays_on_its_tab_when_it_is_polled(container: Container, as_lena: Client) -> None:
    for tab in ("usage", "files", "activity"):
        page = as_lena.get(f"/containers/{container.pk}/{tab}/").content.decode()
        [poll] = re.findall(r'hx-get="(\S+\?tab=\S+?)&', page)
        head = as_lena.get(poll, headers={"HX-Request": "true"}).content.decode()
        assert head.startswith('<section class="stack" id="container"')
        assert re.findall(r'id="tab-(\w+)" href="\S+" aria-current', head) == [tab]


@pytest.mark.parametrize("samples", [1, 200])
def test_a_page_asks_the_same_for_many_samples_as_for_one(
    container: Container,
    as_lena: Client,
    django_assert_num_queries: DjangoAssertNumQueries,
    samples: int,
) -> None:
    UsageSample.objects.bulk_create(
        UsageSample(
            container=container, span=Span.MINUTE, at=NOW - minute * Span.MINUTE.length,
            cpu=1, memory_bytes=1, disk_bytes=1, received=1, sent=1,
        )
        for minute in range(samples)
    )  # fmt: skip
    with django_assert_num_queries(6):
        as_lena.get(f"/containers/{container.pk}/usage/")
