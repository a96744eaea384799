"""Operations per second from request to conclusion, beside Huey alone on the same database."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from containers import operations
from containers.models import Container, Operation
from panel.models import User
from tests.bench.conftest import Figures
from tests.bench.engine.conftest import Engine
from tests.containers.test_processes import until

pytestmark = [
    pytest.mark.processes,
    pytest.mark.django_db(transaction=True),
]

# An operation is asked for, taken, and concluded: three commits, where a bare task has two, with
# a dozen statements in them. What is watched here is that it never becomes a multiple of that.
GENEROUS = 60.0
CLIENTS = 4


@pytest.mark.parametrize(
    ("workers", "count"),
    [
        (1, 60),
        pytest.param(1, 500, marks=pytest.mark.bench),
        pytest.param(4, 500, marks=pytest.mark.bench),
    ],
)
def test_operations_per_second(
    workers: int, count: int, engine: Engine, crowd: list[Container], lena: User, figures: Figures
) -> None:
    engine.work(workers=workers)
    began = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as clients:
        shares = [crowd[number:count:CLIENTS] for number in range(CLIENTS)]
        list(clients.map(lambda share: _ask(share, lena), shares))
    asked = time.monotonic() - began
    until(lambda: Operation.objects.filter(outcome="done").count() == count, "all concluded")
    whole = time.monotonic() - began
    engine.stop()

    engine.work(workers=workers, bare=True)
    began = time.monotonic()
    for number in range(count):
        engine.bare(number)
    until(lambda: len(set(engine.marks.all()) & set(map(str, range(count)))) == count, "all begun")
    bare = max(engine.marks.all().values()) - began
    figures(
        f"Operations per second, {workers} worker processes, {connection.vendor}",
        ["", "a second"],
        [
            [f"asked for, by {CLIENTS} at once", count / asked],
            ["from request to conclusion", count / whole],
            ["bare tasks of Huey", count / bare],
            ["bare, times as many", whole / bare],
        ],
        f"{count} of each",
    )
    assert Operation.objects.filter(attempts__gt=1).count() == 0
    assert whole <= GENEROUS * bare


def _ask(share: list[Container], by: User) -> None:
    try:
        for container in share:
            operations.request(container.pk, "start", by=by)
    finally:
        connection.close()
