"""Which containers are on a list, and the indexes that lists, counts and sums are read off."""

from __future__ import annotations

from django.db import models

from containers.statuses import Status

# KEPT: what a list may show at all, the withdrawn left out. LISTED: what it shows unless destroyed
# containers are asked for.
KEPT = models.Q(withdrawn_at=None)
LISTED = KEPT & ~models.Q(status=Status.DESTROYED)


def _sorted(
    name: str, condition: models.Q, alike: list[str], fields: list[str]
) -> list[models.Index]:
    """One index for each way to sort a list: by each of `fields`, the rows that meet `condition`
    and have the same values in the columns `alike`.

    `withdrawn_at` is in it for SQLite, which counts by an index alone only if it holds every column
    of the condition.
    """
    return [
        models.Index(
            fields=[*alike, field, "-id", "withdrawn_at"],
            condition=condition,
            name=f"{name}_by_{field}",
        )
        for field in fields
    ]


INDEXES = [
    # Few rows meet these conditions; the sweep and the dashboard ask for them all the time.
    models.Index(
        fields=["create_again_at"],
        condition=models.Q(create_again_at__isnull=False),
        name="create_again",
    ),
    models.Index(fields=["node", "status"], condition=models.Q(missing=True), name="missing"),
    # In place of the foreign keys' own.
    models.Index(fields=["customer", "withdrawn_at", "status", "-id", "plan"], name="by_customer"),
    # SQLite sums up what is promised on nodes from this index, and would use no other for it;
    # PostgreSQL uses the smaller one below. It holds the plan, as does the one above, so that a
    # list can be filtered by plan without reading each row; and the customer, to sort by.
    models.Index(
        fields=[
            "node",
            "withdrawn_at",
            "status",
            "-id",
            "memory_mb",
            "disk_gb",
            "cpus",
            "plan",
            "customer",
        ],
        name="by_node",
    ),
    models.Index(
        fields=["node", "memory_mb", "disk_gb", "cpus"],
        condition=LISTED,
        name="room_of_nodes",
    ),
    # The list sorted by node, containers on none first or last. The status is in it because SQLite
    # would otherwise prefer another one.
    models.Index(
        fields=["node", "withdrawn_at", "-id", "status", "plan"],
        condition=LISTED,
        name="listed_by_node",
    ),
    # Each sort of the list is read off one of these, from either end.
    *_sorted("listed", LISTED, [], ["name", "status", "status_since", "plan", "address"]),
    *_sorted("status", KEPT, ["status"], ["name", "status_since", "plan", "address"]),
    *_sorted("plan", LISTED, ["plan"], ["name", "status_since", "address"]),
    models.Index(fields=["-id", "withdrawn_at"], condition=LISTED, name="listed"),
    models.Index(
        fields=["status", "-id", "withdrawn_at", "customer"], condition=KEPT, name="status"
    ),
]
