"""What is compiled once is answered anew each time, as Django would have answered it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from containers.models import Container, Node, Operation
from containers.statuses import Status
from panel.compiled import CompiledQuery, ModelReader
from tests.cast import ContainerFactory

pytestmark = pytest.mark.django_db

SHOWN = ("pk", "name", "status_since", "withdrawn_at", "missing")


def test_it_answers_what_is_there_now(django_assert_num_queries: Any) -> None:
    listed = Container.objects.filter(status=Status.RUNNING).order_by("name").values_list(*SHOWN)
    compiled = CompiledQuery(listed)
    assert compiled.rows() == []
    ContainerFactory.create(name="b", status=Status.RUNNING)
    ContainerFactory.create(name="a", status=Status.RUNNING)
    with django_assert_num_queries(1):
        found = compiled.rows()
    assert found == list(listed.all())
    assert [name for _, name, *_ in found] == ["a", "b"]


def test_of_what_can_never_be_nobody_asks(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert CompiledQuery(Container.objects.none().values_list("pk")).rows() == []


@pytest.mark.django_db(transaction=True)
def test_each_thread_asks_by_a_connection_of_its_own(container: Container) -> None:
    compiled = CompiledQuery(Container.objects.values_list(*SHOWN))

    def ask() -> list[tuple[Any, ...]]:
        try:
            return compiled.rows()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(ask).result() == compiled.rows()


def as_read(row: Any) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def test_every_field_is_what_django_makes_of_it(django_assert_num_queries: Any) -> None:
    container = ContainerFactory.create(status=Status.BOOTING)
    operation = container.operations.get()
    reader = ModelReader(Operation, Container, Node)
    statement = f"""
        SELECT {reader.columns} FROM containers_operation
        JOIN containers_container ON containers_container.id = container_id
        JOIN containers_node ON containers_node.id = containers_container.node_id
        WHERE containers_operation.id = %s
    """
    with django_assert_num_queries(1):
        [read] = reader.read(statement, [operation.pk])
    [known] = Operation.objects.select_related("container__node")
    assert list(map(as_read, read)) == list(
        map(as_read, (known, known.container, known.container.node))
    )
    assert not any(row._state.adding for row in read)
    assert reader.read(statement, [0]) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL plans once")
def test_it_outlives_a_migration(container: Container) -> None:
    """A statement that was planned before a column changed its type is refused."""
    compiled = CompiledQuery(Container.objects.values_list("name"))
    reader = ModelReader(Container)
    statement = f"SELECT {reader.columns} FROM containers_container"
    for _ in range(10):
        assert compiled.rows() == [(container.name,)]
        assert reader.read(statement, []) == [(container,)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements")
        assert cursor.fetchone() == (2,)
        cursor.execute("ALTER TABLE containers_container ALTER COLUMN name TYPE text")
    try:
        assert compiled.rows() == [(container.name,)]
        assert reader.read(statement, []) == [(container,)]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE containers_container ALTER COLUMN name TYPE varchar(63)")
