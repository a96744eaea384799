"""Instances that are named like a container, on a node where the database knows of none."""

from __future__ import annotations

import re

from django.db import connection, models, transaction
from django.utils import timezone

from containers.models.container import Container
from containers.models.node import Node

# No container gets a number beyond this. More digits still are somebody else's.
HIGHEST = 10**11
_NAME = re.compile(r"ct-([1-9][0-9]{0,11})")


class Stray(models.Model):
    """One such instance. `number` is the id of the container that its name stands for;
    `by_hand` says that the panel neither made nor claimed it, `unfinished` that it is what a
    creation or a move has begun and left."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="strays")
    number = models.BigIntegerField()
    by_hand = models.BooleanField(default=False, db_default=False)
    unfinished = models.BooleanField(default=False, db_default=False)
    since = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["node", "number"], name="a_stray_once_a_node"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """What the instance is called."""
        return Container(pk=self.number).instance_name

    @staticmethod
    def number_of(name: str) -> int | None:
        """The id that the name of an instance stands for. None for every other name, such as
        `ct-web`: no container will ever bear it, so it is none of the panel's business."""
        found = _NAME.fullmatch(name)
        return int(found[1]) if found else None


def last_given() -> int:
    """The highest id that a container was given, or that is reserved."""
    with connection.cursor() as cursor:
        cursor.execute(_LAST[connection.vendor].format(table=Container._meta.db_table))
        found = cursor.fetchone()
    return int(found[0]) if found else 0


_LAST = {
    "postgresql": "SELECT last_value FROM {table}_id_seq",
    "sqlite": "SELECT seq FROM sqlite_sequence WHERE name = '{table}'",
}


@transaction.atomic
def reserve(number: int, among: type[models.Model] = Container) -> None:
    """See to it that no container (or row of another model) made from now on gets an id up to
    `number`.

    Or else the container of a new customer would find an instance of its name, and be taken
    for it. Call it while no other row is locked.
    """
    table = among._meta.db_table
    with connection.cursor() as cursor:
        for statement in _RESERVE[connection.vendor]:
            cursor.execute(statement.format(table=table), {"number": number})


_RESERVE = {
    "postgresql": (
        # Nobody may be given an id between the question and the change.
        "LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE",
        "SELECT setval('{table}_id_seq', %(number)s) "
        "FROM {table}_id_seq WHERE last_value <= %(number)s",
    ),
    "sqlite": (
        "INSERT INTO sqlite_sequence (name, seq) SELECT '{table}', 0 WHERE "
        "NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = '{table}')",
        "UPDATE sqlite_sequence SET seq = max(seq, %(number)s) WHERE name = '{table}'",
    ),
}
