"""The database of the last release becomes that of this one, while processes of both run on it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations import (
    AddField,
    DeleteModel,
    Migration,
    RemoveField,
    RenameField,
    RenameModel,
)
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import StateApps
from django.db.models import ManyToManyField
from django.test import Client
from django.utils import timezone

from containers import operations
from containers.models import Container
from orders.models import Order
from panel.models import User
from tests.panel.releases import RELEASES

LAST = RELEASES[list(RELEASES)[-1]]


@pytest.fixture
def last_release(transactional_db: None) -> Iterator[StateApps]:
    """A database as the last release left it, and its models."""
    _drop_everything()
    executor = MigrationExecutor(connection)
    others = [key for key in executor.loader.graph.leaf_nodes() if key[0] not in LAST]
    executor.migrate([*LAST.items(), *others])
    yield executor.loader.project_state(list(LAST.items())).apps
    call_command("migrate", verbosity=0)


def _drop_everything() -> None:
    with connection.constraint_checks_disabled(), connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            # The tables of an index for search go with it.
            cascade = " CASCADE" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TABLE IF EXISTS {connection.ops.quote_name(table)}{cascade}")


def fill(apps: StateApps, mark: str) -> None:
    """At least one row of everything, as a process of that release writes it."""

    def make(model: str, **fields: Any) -> Any:
        return apps.get_model(model)._default_manager.create(**fields)

    now = timezone.now()
    room = {"cpus": 1, "memory_mb": 1024, "disk_gb": 20}
    person = make("panel.User", username=f"lena-{mark}", is_administrator=True)
    node = make("containers.Node", name=f"node-{mark}", kind="simulated", **room)
    make("containers.NodeImage", node=node, name="debian/12")
    make("containers.Stray", node=node, number=977)
    what = {"customer": person, "plan": "S", "system": "Debian 12", "image": "debian/12", **room}
    stopped = make("containers.Container", name="web-01", node=node, status="stopped", **what)
    booting = make("containers.Container", name="web-02", node=node, status="booting", **what)
    for container, outcome in ((stopped, "done"), (booting, "")):
        operation = make(
            "containers.Operation", container=container, node=node, kind="start", was="stopped",
            during="booting", outcome=outcome, asked_by=person, deadline_at=now,
        )  # fmt: skip
        make(
            "containers.StatusChange", container=container, to_status=container.status,
            operation=operation,
        )  # fmt: skip
    make("containers.FileChange", container=stopped, by=person, did="wrote", path="/etc/hosts")
    make(
        "containers.UsageSample", container=stopped, span="minute", at=now, cpu=0.5,
        memory_bytes=1, received=0, sent=0,
    )  # fmt: skip
    system = make("orders.System", name=f"Debian {mark}", image="debian/12")
    plan = make("orders.Plan", name=f"Small {mark}", price="4.90", **room)
    plan.systems.add(system)
    order = make(
        "orders.Order", customer=person, plan=plan, container=stopped, price="4.90",
        currency="EUR", period="month", status="fulfilled", token=uuid4(),
    )  # fmt: skip
    make("orders.OrderChange", order=order, to_status="fulfilled")
    make("orders.Payment", order=order, variant="dummy", total="4.90", currency="EUR")


def counts(apps: StateApps) -> dict[str, int]:
    """How many rows there are of everything that the panel itself keeps."""
    return {
        model._meta.label: model._default_manager.count()
        for app in LAST
        for model in apps.get_app_config(app).get_models(include_auto_created=True)
        if "User_" not in model._meta.label
    }


def test_a_database_of_the_last_release_is_all_there_in_this_one(last_release: StateApps) -> None:
    fill(last_release, "old")
    before = counts(last_release)
    assert min(before.values()) > 0, "fill() leaves something out"
    call_command("migrate", verbosity=0)
    assert counts(last_release) == before

    lena = User.objects.get(username="lena-old")
    [stopped, booting] = Container.objects.order_by("pk")
    assert (stopped.name, stopped.status, stopped.order.price) == (
        "web-01",
        "stopped",
        Decimal("4.90"),
    )
    assert booting.operation is not None
    assert Order.objects.get().changes.count() == 1
    operations.request(stopped.pk, "start", by=lena)
    browser = Client()
    browser.force_login(lena)
    for page in ("/", "/containers/", "/nodes/", f"/containers/{stopped.pk}/activity/"):
        assert browser.get(page).status_code == 200


def test_processes_of_the_last_release_go_on_after_the_migration(last_release: StateApps) -> None:
    call_command("migrate", verbosity=0)
    fill(last_release, "still")
    for app in LAST:
        for model in last_release.get_app_config(app).get_models():
            for row in model._default_manager.all():
                row.save()
    assert User.objects.get().username == "lena-still"
    assert Container.objects.filter(status_since__gt=timezone.now() - timedelta(hours=1)).exists()


def migrations_since() -> list[Migration]:
    """Those that the last release did not have."""
    loader = MigrationLoader(None)
    old = {key for node in LAST.items() for key in loader.graph.forwards_plan(node)}
    return [
        migration
        for key, migration in sorted(loader.disk_migrations.items())
        if key[0] in LAST and key not in old
    ]


@pytest.mark.parametrize("migration", migrations_since(), ids=str)
def test_a_migration_only_adds(migration: Migration) -> None:
    """What processes of the last release need is taken away one release later, in the database
    only (SeparateDatabaseAndState)."""
    for operation in migration.operations:
        assert not isinstance(operation, RemoveField | RenameField | RenameModel | DeleteModel)
        if isinstance(operation, AddField) and not isinstance(operation.field, ManyToManyField):
            field = operation.field
            assert field.null or field.has_db_default(), f"{operation.name} without db_default"
