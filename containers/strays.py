"""What a node has and the database does not know there is noted at every look, and no more."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from django.db.models import Q

from containers.drivers import Instance
from containers.models import Container, Node, Operation, Stray
from containers.models.stray import reserve

logger = logging.getLogger(__name__)


def note(node: Node, found: Iterable[Instance], *, began: datetime, known: set[int]) -> None:
    """Keep which instances on a node the database does not know there; nothing is done to
    them. `known` are the ids of the containers that it has there: what bears the name of one
    and was made by hand is not that container. `began` is before the node was asked."""
    numbers = {Stray.number_of(each.name): each.by_hand for each in found}
    unknown = {n: by_hand for n, by_hand in numbers.items() if n and (by_hand or n not in known)}
    if unknown:
        arriving = Q(operations__outcome=Operation.Outcome.OPEN, operations__target=node)
        since_then = Q(status_since__gte=began, missing=False)
        ours = Q(node=node, pk__in=[n for n, by_hand in unknown.items() if not by_hand])
        explained = Container.objects.filter(arriving | since_then | ours, pk__in=unknown)
        for number in set(explained.values_list("pk", flat=True)):
            del unknown[number]
    noted = dict(node.strays.values_list("number", "by_hand"))
    if settled := [n for n, by_hand in noted.items() if unknown.get(n) is not by_hand]:
        node.strays.filter(number__in=settled).delete()
    if new := sorted(n for n, by_hand in unknown.items() if noted.get(n) is not by_hand):
        reserve(new[-1])
        strays = [Stray(node=node, number=number, by_hand=unknown[number]) for number in new]
        Stray.objects.bulk_create(strays, ignore_conflicts=True)
        logger.warning("not known to be on node %s: %s", node.name, ", ".join(map(str, strays)))
