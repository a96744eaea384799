"""What the pages of a container say of it: what to do next, what failed, when, and for whom."""

from __future__ import annotations

import pytest
from django.test import Client

from containers.models import Container
from containers.statuses import Status

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
