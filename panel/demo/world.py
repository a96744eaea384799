"""What all pasts of the demo share: people, plans and nodes, the clock, the rows of history."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from containers.models import Node, Operation, StatusChange
from orders.models import OrderChange, Plan
from panel.models import User


@dataclass
class World:
    """`now` is the moment at which every past ends. Rows of history are collected, and written
    in the order of their times, for lists go by the id."""

    now: datetime
    people: dict[str, User]
    plans: dict[str, Plan]
    nodes: dict[str, Node]
    operations: list[Operation] = field(default_factory=list)
    changes: list[StatusChange] = field(default_factory=list)
    order_changes: list[OrderChange] = field(default_factory=list)
    # The same demo every time.
    dice: random.Random = field(default_factory=lambda: random.Random(2041))  # noqa: S311

    def minutes(self, least: float, most: float) -> timedelta:
        """Some time between the two."""
        return timedelta(minutes=self.dice.uniform(least, most))

    def write_history(self) -> None:
        Operation.objects.bulk_create(sorted(self.operations, key=lambda row: row.asked_at))
        StatusChange.objects.bulk_create(sorted(self.changes, key=lambda row: row.at))
        OrderChange.objects.bulk_create(sorted(self.order_changes, key=lambda row: row.at))
