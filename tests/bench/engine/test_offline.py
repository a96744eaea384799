"""Thousands of containers of one node going off-line and coming back, while pages answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.test import Client
from django.utils import timezone

from containers import observe
from containers.drivers import Instance, Power
from containers.models import Container, Node, StatusChange
from containers.reports import Look
from containers.statuses import Status
from panel.models import User
from tests.bench.conftest import Figures

pytestmark = pytest.mark.django_db(transaction=True)

# Times the yardstick; a machine that does other things as well is not that exact.
GENEROUS = 15.0


@pytest.fixture
def many(request: pytest.FixtureRequest, node: Node, lena: User) -> list[Container]:
    """On one node, every other one running."""
    Node.objects.update(misses=2)
    return Container.objects.bulk_create(
        [
            Container(
                customer=lena, name=f"web-{number}", plan="Small", cpus=1, memory_mb=512,
                disk_gb=10, system="Debian", image="debian/12", node=node,
                status=Status.RUNNING if number % 2 else Status.STOPPED,
            )
            for number in range(request.param)
        ],
        batch_size=100,
    )  # fmt: skip


def bare(containers: list[Container]) -> float:
    """Seconds for one UPDATE of as many rows and as many rows of history; nothing is kept."""
    began = time.monotonic()
    with transaction.atomic():
        Container.objects.update(revision=F("revision") + 1)
        StatusChange.objects.bulk_create(
            StatusChange(container=one, from_status=one.status, to_status=one.status)
            for one in containers
        )
        took = time.monotonic() - began
        transaction.set_rollback(True)
    return took


@contextmanager
def looking(browser: Client) -> Iterator[list[float]]:
    """Somebody looks at the list again and again: how long each page took."""
    took: list[float] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            began = time.monotonic()
            assert browser.get("/containers/").status_code == 200
            took.append(time.monotonic() - began)
        connection.close()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield took
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("many", [1000, pytest.param(5000, marks=pytest.mark.bench)], indirect=True)
def test_off_line_and_back(
    many: list[Container],
    node: Node,
    ada: User,
    client_of: Callable[[User], Client],
    figures: Figures,
) -> None:
    browser = client_of(ada)
    with looking(browser) as before:
        yardstick = median(bare(many) for _ in range(3))
    with looking(browser) as pages:
        began = time.monotonic()
        observe.missed(Node.objects.get(pk=node.pk), "no answer")
        lost = time.monotonic() - began
    assert node.containers.filter(status=Status.OFFLINE).count() == len(many)
    reported = {
        one.instance_name: Instance(
            one.instance_name,
            Power.RUNNING if one.status == Status.RUNNING else Power.STOPPED,
            f"10.0.{number // 250}.{number % 250}" if one.status == Status.RUNNING else "",
        )
        for number, one in enumerate(many)
    }
    with looking(browser) as more_pages:
        began = time.monotonic()
        observe.record_looks({node: Look(timezone.now(), reported)})
        back = time.monotonic() - began
    slowest = max(pages + more_pages)
    figures(
        f"{len(many)} containers, {connection.vendor}",
        ["", "seconds", "times the bare one"],
        [
            ["one UPDATE and as much history, bare", yardstick, 1.0],
            ["off-line", lost, lost / yardstick],
            ["back, half of them with another address", back, back / yardstick],
            ["a list of 50 meanwhile, slowest", slowest, slowest / max(before)],
            ["a list while the bare ones are written, slowest", max(before), 1.0],
        ],
    )
    assert list(Container.objects.order_by("pk").values_list("status", flat=True)) == [
        one.status for one in many
    ]
    assert max(lost, back) <= GENEROUS * yardstick
    assert slowest <= GENEROUS * max(before)
