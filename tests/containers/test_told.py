"""What the pages of a container say of it: what to do next, what failed, when, and for whom."""

from __future__ import annotations

import pytest
from django.test import Client

from containers import operations
from containers.models import Container, Node
from containers.statuses import Status
from panel.models import User
from tests.cast import ContainerFactory

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
