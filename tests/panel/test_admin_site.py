"""The Django admin is of one piece with the panel: in its dates, and in its colours."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib import admin
from django.test import Client

from containers.models import Container
from tests.cast import OrderFactory

CSS = settings.BASE_DIR / "static/css"


def names(pattern: str, *files: Path) -> set[str]:
    return {name for file in files for name in re.findall(pattern, file.read_text())}


@pytest.mark.django_db
def test_dates_are_written_as_on_the_pages(container: Container, as_sten: Client) -> None:
    at = datetime(2025, 11, 24, 14, 5, 7, tzinfo=UTC)
    order = OrderFactory.create(container=container, ordered_at=at)
    order.changes.create(to_status=order.status, at=at, by=order.customer)
    for address in (order.get_absolute_url(), f"/admin/orders/order/{order.pk}/change/"):
        assert "24 Nov 2025, 14:05:07 UTC" in as_sten.get(address).content.decode()


def test_each_colour_that_is_set_is_one_that_django_reads_and_made_of_tokens() -> None:
    own = [CSS / "admin.css", CSS / "tokens.css"]
    django = [*(Path(admin.__file__).parent / "static/admin/css").glob("*.css")]
    has, reads = r"(--[\w-]+):", r"var\((--[\w-]+)\)"
    assert names(has, CSS / "admin.css") <= names(reads, *django)
    assert names(reads, CSS / "admin.css") <= names(has, *own)
