"""A panel of any size, written by a few statements: the same rows each time, on any database.

It is kept between runs in the folder `BERTH_BENCH_DATA`, if one is named; on PostgreSQL in
databases of its own beside the one that `BERTH_DATABASE_URL` names.
"""

from __future__ import annotations

from decimal import Decimal

from django.core.management import call_command
from django.db import connections, transaction

from containers.models import Container, Node
from containers.statuses import TRANSIENT, Status
from orders.models import Order, Plan, System
from panel.models import User
from panel.sqlite.statistics import analyze

NODES = 500
CUSTOMERS = 20_000
PLANS = 12
CHUNK = 100_000
# Of a thousand containers, how many are in a status: about as many as a panel at work shows.
SHARES = {
    Status.RUNNING: 780,
    Status.STOPPED: 120,
    Status.DESTROYED: 50,
    Status.OFFLINE: 20,
    Status.ORDERED: 15,
    Status.REPAIRING: 5,
    Status.CREATING: 2,
    Status.BOOTING: 2,
    Status.STOPPING: 2,
    Status.MIGRATING: 2,
    Status.DESTROYING: 2,
}
# Names begin with one of these; three in ten with the first.
WORDS = ("web", "web", "web", "db", "mail", "shop", "blog", "api", "dev", "cache")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "J" * 42 + " somebody@example.com"


def build(alias: str, rows: int) -> None:
    """Bring the empty database behind `alias` up to date and fill it with `rows` containers."""
    call_command("migrate", database=alias, verbosity=0, interactive=False)
    connection = connections[alias]
    _people(alias)
    _plans(alias)
    _nodes(alias)
    for first in range(1, rows + 1, CHUNK):
        last = min(first + CHUNK - 1, rows)
        with transaction.atomic(using=alias), connection.cursor() as cursor:
            for statement in _statements(connection.vendor):
                cursor.execute(statement, {"first": first, "last": last})
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Of rows that are not on the disk yet VACUUM does not say that all may see them.
            cursor.execute("SET synchronous_commit TO on")
            for model in (Container, Order):
                table = model._meta.db_table
                cursor.execute(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), %s)", [rows]
                )
            # As autovacuum does while nobody looks.
            cursor.execute("VACUUM ANALYZE")
    if connection.vendor == "sqlite":
        analyze()


def _people(alias: str) -> None:
    """Customers with some 4,000 family names, one with a thousandth of everything, and Ada."""
    User.objects.using(alias).bulk_create(
        [
            User(
                pk=number,
                username=f"customer{number}",
                first_name=("Lena", "Omar", "Mia", "Jonas", "Aylin", "Tom", "Ida")[number % 7],
                last_name=f"{'FGHKLMNRST'[number % 10]}amily{number * 7919 % 4001}",
                email=f"customer{number}@example.com",
                password="!",
            )
            for number in range(1, CUSTOMERS + 1)
        ],
        batch_size=2_000,
    )
    User.objects.using(alias).create(
        pk=CUSTOMERS + 1, username="ada", password="!", is_administrator=True, is_superuser=True,
        is_staff=True,
    )  # fmt: skip


def _plans(alias: str) -> None:
    system = System.objects.using(alias).create(name="Debian 12", image="debian/12")
    for number in range(1, PLANS + 1):
        plan = Plan.objects.using(alias).create(
            pk=number, name=f"Plan {number + 9}", cpus=1, memory_mb=1024, disk_gb=20,
            price=Decimal(number),
        )  # fmt: skip
        plan.systems.add(system)


def _nodes(alias: str) -> None:
    Node.objects.using(alias).bulk_create(
        [
            Node(
                pk=number, name=f"node-{number * 7919 % 1009:04}", kind=Node.Kind.SIMULATED,
                cpus=256, memory_mb=4_194_304, disk_gb=100_000, version="simulated",
            )
            for number in range(1, NODES + 1)
        ]
    )  # fmt: skip


def _scattered(prime: int, below: int) -> str:
    """SQL for a number that looks drawn at random for each `i`, and anew for each prime."""
    return f"((i * {prime}) %% 2147483647 %% {below})"


def _statements(vendor: str) -> list[str]:
    """What writes the containers `first` to `last` with their orders, work and history.

    Every column comes of the number alone.
    """
    token = "gen_random_uuid()" if vendor == "postgresql" else "lower(hex(randomblob(16)))"
    series = """
        WITH RECURSIVE series(i) AS (
            SELECT CAST(%(first)s AS bigint) UNION ALL SELECT i + 1 FROM series WHERE i < %(last)s
        )"""
    word = "CASE {} {} END".format(
        _scattered(1299709, 10),
        " ".join(f"WHEN {n} THEN '{word}-'" for n, word in enumerate(WORDS)),
    )
    upto, cases = 0, ""
    for status, share in SHARES.items():
        upto += share
        cases += f"WHEN {_scattered(15485863, 1000)} < {upto} THEN '{status.value}' "
    standing = f"CASE {cases} END"
    nowhere = "('ordered', 'destroyed')"
    age = _scattered(32452843, 31_536_000)
    ago = {
        "postgresql": f"now() - {age} * interval '1 second'",
        "sqlite": f"strftime('%%Y-%%m-%%d %%H:%%M:%%f000', 'now', '-' || {age} || ' seconds')",
    }[vendor]
    address = "'10.' || (i / 65536) || '.' || (i / 256 %% 256) || '.' || (i %% 256)"
    customer = f"CASE WHEN i %% 1000 = 0 THEN 1 ELSE 1 + {_scattered(49979687, CUSTOMERS)} END"
    plan = f"'Plan ' || CAST(10 + {_scattered(86028121, PLANS)} AS text)"
    no = "false" if vendor == "postgresql" else "0"
    transient = ", ".join(f"'{each.value}'" for each in TRANSIENT)
    return [
        f"""INSERT INTO containers_container (
                id, customer_id, name, plan, cpus, memory_mb, disk_gb, system, image, ssh_key,
                node_id, address, status, status_since, problem, missing, revision,
                create_tries, ordered_at, withdrawn_at)
            {series}, drawn AS (SELECT i, {standing} AS status, {ago} AS since FROM series)
            SELECT i, {customer}, {word} || i, {plan},
                1, 1024, 20, 'Debian 12', 'debian/12', '{KEY}',
                CASE WHEN status IN {nowhere} THEN NULL ELSE 1 + {_scattered(67867967, NODES)} END,
                CASE WHEN status IN {nowhere} THEN '' ELSE {address} END,
                status, since, '', {no}, 1, 0, since,
                CASE WHEN status = 'ordered' AND i %% 3 = 0 THEN since END
            FROM drawn""",
        f"""INSERT INTO orders_order (
                id, customer_id, plan_id, container_id, price, currency, period, status, token,
                ordered_at, paid_at)
            SELECT id, customer_id, CAST(substr(plan, 6) AS integer) - 9,
                id, 4.9, 'EUR', 'month',
                CASE WHEN status <> 'ordered' THEN 'fulfilled'
                     WHEN withdrawn_at IS NULL THEN 'unpaid' ELSE 'cancelled' END,
                {token}, ordered_at, CASE WHEN status <> 'ordered' THEN ordered_at END
            FROM containers_container WHERE id BETWEEN %(first)s AND %(last)s""",
        f"""INSERT INTO containers_operation (
                container_id, kind, node_id, was, during, forced, because, asked_at, step,
                attempts, woken_at, not_before, deadline_at, held_by, outcome, error, error_detail)
            SELECT id, 'start', node_id, 'stopped', status, {no}, '', status_since, '', 1,
                status_since, status_since, status_since, '', '', '', ''
            FROM containers_container
            WHERE id BETWEEN %(first)s AND %(last)s AND status IN ({transient})""",
        *[
            f"""INSERT INTO containers_statuschange
                    (container_id, from_status, to_status, at, because)
                SELECT id, {was}, {now}, status_since, ''
                FROM containers_container WHERE id BETWEEN %(first)s AND %(last)s"""
            for was, now in (("''", "'ordered'"), ("'ordered'", "status"))
        ],
    ]
