"""Instances that are named like a container, on a node where the database knows of none."""

from __future__ import annotations

import re

from django.db import models
from django.utils import timezone

from containers.models.container import Container
from containers.models.node import Node

# No container gets a number beyond this. More digits still are somebody else's.
HIGHEST = 10**11
_NAME = re.compile(r"ct-([1-9][0-9]{0,11})")


class Stray(models.Model):
    """One such instance. `number` is the id of the container that its name stands for.

    - `by_hand`: the panel neither made nor claimed it.
    - `another`: it was made for another container than the one of this number: somebody has renamed
      it, or the database was restored to an earlier time.
    - `unfinished`: a creation or a move has begun it, and was given up.
    """

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="strays")
    number = models.BigIntegerField()
    by_hand = models.BooleanField(default=False, db_default=False)
    another = models.BooleanField(default=False, db_default=False)
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
