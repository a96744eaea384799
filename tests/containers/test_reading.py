"""What is read off a statement that is written out is what Django reads."""

from __future__ import annotations

from typing import Any

import pytest

from containers.models import Container, Node, Operation
from containers.reading import Reader
from containers.statuses import Status
from tests.cast import ContainerFactory

pytestmark = pytest.mark.django_db


def as_read(row: Any) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def test_every_field_is_what_django_makes_of_it(django_assert_num_queries: Any) -> None:
    container = ContainerFactory.create(status=Status.BOOTING)
    operation = container.operations.get()
    reader = Reader(Operation, Container, Node)
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
