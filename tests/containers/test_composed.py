"""What is composed once is answered anew each time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from containers.composed import Composed
from containers.models import Container
from containers.statuses import Status
from tests.cast import ContainerFactory

pytestmark = pytest.mark.django_db

SHOWN = ("pk", "name", "status_since", "withdrawn_at", "missing")


def test_it_answers_what_is_there_now(django_assert_num_queries: Any) -> None:
    listed = Container.objects.filter(status=Status.RUNNING).order_by("name").values_list(*SHOWN)
    composed = Composed(listed)
    assert composed.rows() == []
    ContainerFactory.create(name="b", status=Status.RUNNING)
    ContainerFactory.create(name="a", status=Status.RUNNING)
    with django_assert_num_queries(1):
        found = composed.rows()
    assert found == list(listed.all())
    assert [name for _, name, *_ in found] == ["a", "b"]


def test_of_what_can_never_be_nobody_asks(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert Composed(Container.objects.none().values_list("pk")).rows() == []


@pytest.mark.django_db(transaction=True)
def test_each_thread_asks_by_a_connection_of_its_own(container: Container) -> None:
    composed = Composed(Container.objects.values_list(*SHOWN))

    def ask() -> list[tuple[Any, ...]]:
        try:
            return composed.rows()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(ask).result() == composed.rows()
