"""The demo's charts are filled with what could have been measured, and with nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import Min

from containers.models import Container, Node, Span, StatusChange, UsageSample
from containers.statuses import Status
from panel.demo.measuring import measure
from panel.models import User
from tests.cast import ContainerFactory

NOW = datetime(2026, 3, 10, 12, 34, tzinfo=UTC)


def tell(container: Container, *words: tuple[float, str]) -> None:
    """How many days ago it came into which status."""
    for days, status in words:
        StatusChange.objects.create(
            container=container, to_status=status, at=NOW - timedelta(days=days)
        )


@pytest.fixture
def told(lena: User, node: Node) -> Container:
    """Ran from 40 days ago to 20 days ago, and runs since three days ago."""
    found = ContainerFactory.create(customer=lena, node=node, status=Status.RUNNING, on_node=False)
    tell(found, (40.1, "stopped"), (40, "running"), (20, "stopped"), (3, "running"))
    return found


def test_a_container_was_measured_while_it_ran_and_only_then(told: Container) -> None:
    measure(NOW)
    hours = told.usage.filter(span=Span.HOUR)
    assert hours.count() == pytest.approx(24 * (11 + 3), abs=3)
    gap = hours.filter(at__gt=NOW - timedelta(days=20), at__lt=NOW - timedelta(days=3))
    assert not gap.exists()
    minutes = told.usage.filter(span=Span.MINUTE)
    assert minutes.count() == pytest.approx(24 * 12, abs=2)
    assert minutes.aggregate(at=Min("at"))["at"] >= NOW - timedelta(days=1)
    assert not UsageSample.objects.filter(at__gt=NOW - Span.MINUTE.length).exists()


def test_a_node_used_what_all_on_it_used(told: Container, node: Node, lena: User) -> None:
    other = ContainerFactory.create(customer=lena, node=node, status=Status.RUNNING, on_node=False)
    tell(other, (3.5, "running"))
    measure(NOW)
    at = node.usage.filter(span=Span.MINUTE).latest("at").at
    parts = UsageSample.objects.filter(span=Span.MINUTE, at=at)
    its = parts.get(node=node)
    containers = parts.filter(node=None)
    assert containers.count() == 2
    assert its.cpu == pytest.approx(sum(part.cpu for part in containers))
    assert its.memory_bytes > sum(part.memory_bytes for part in containers)


def test_what_never_ran_was_never_measured(container: Container) -> None:
    tell(container, (2, "ordered"), (1, "stopped"))
    measure(NOW)
    assert not UsageSample.objects.exists()
