"""Notes which instances a node has that the database does not know there; nothing is done to them.
Whole ones are noted at each look, unfinished ones whenever the node is asked what it has."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from django.db.models import Q

from containers.connect import labels_of
from containers.drivers import Instance
from containers.ids import LEAP, last_given, reserve
from containers.models import Container, Node, Operation, Stray

logger = logging.getLogger(__name__)

# The most strays that are noted of one node, those with the lowest numbers: the next ones follow as
# these are settled. A node that has gone mad may name millions.
MOST = 1000


class Kind(NamedTuple):
    """What a note says of an instance, beside its number."""

    by_hand: bool
    another: bool = False
    unfinished: bool = False


def note(node: Node, found: Iterable[Instance], *, began: datetime, known: set[int]) -> None:
    """Note which of the instances found on a node the database does not know there. `known` are
    the ids of the containers that were found among them. The note on an instance that gives no
    answer stays as it is. `began` is a time before the node was asked."""
    numbered = {n: each for each in found if (n := Stray.number_of(each.name))}
    whole = {n: Kind(each.by_hand) for n, each in numbered.items() if each.known}
    silent = numbered.keys() - whole.keys()
    unknown = {n: whole[n] for n in _lowest(whole.keys() - known)}
    for n in _others({n: numbered[n] for n, kind in unknown.items() if not kind.by_hand}):
        unknown[n] = unknown[n]._replace(another=True)
    noted = {
        stray.number: Kind(stray.by_hand, stray.another, stray.unfinished)
        for stray in node.strays.all()
    }
    # Of these `found` says nothing: it holds what is unfinished only once that is whole.
    staying = {
        n: kind for n, kind in noted.items() if n in silent or (kind.unfinished and n not in whole)
    }
    wanted = staying | _unexplained(node, unknown, began)
    wanted = {n: wanted[n] for n in _lowest(wanted)}
    if outdated := [n for n in noted if wanted.get(n) != noted[n]]:
        node.strays.filter(number__in=outdated).delete()
    if new := sorted(n for n in wanted if noted.get(n) != wanted[n]):
        strays = [Stray(node=node, number=number, **wanted[number]._asdict()) for number in new]
        _keep(node, strays, "not known to be on node %s: %s")


def _lowest(numbers: Collection[int]) -> list[int]:
    return sorted(numbers)[:MOST]


def _unexplained(node: Node, unknown: dict[int, Kind], began: datetime) -> dict[int, Kind]:
    """Those that no container accounts for. One does that is on its way to the node, is on it by
    now, or has changed since the node was asked."""
    if not unknown:
        return {}
    arriving = Q(operations__outcome=Operation.Outcome.OPEN, operations__target=node)
    since_then = Q(status_since__gte=began, missing=False)
    may_be = [n for n, kind in unknown.items() if not (kind.by_hand or kind.another)]
    ours = Q(node=node, pk__in=may_be)
    accounts = Container.objects.filter(arriving | since_then | ours, pk__in=unknown)
    explained = set(accounts.values_list("pk", flat=True))
    return {n: kind for n, kind in unknown.items() if n not in explained}


def _others(ours: Mapping[int, Instance]) -> set[int]:
    """Those that were made for another container than the one that has their number now."""
    here = Container.objects.filter(pk__in=ours).only("ordered_at") if ours else ()
    return {each.pk for each in here if ours[each.pk].is_another(labels_of(each))}


def note_unfinished(node: Node, names: Mapping[str, bool], *, began: datetime) -> None:
    """Note the unfinished instances that nobody is at work on any more. `names` is as of
    `Driver.unfinished`: the note on one that is False, and gives no answer, stays as it is.
    `began` is a time before the node was asked."""
    numbers = {n: known for name, known in names.items() if (n := Stray.number_of(name))}
    told = {number for number, known in numbers.items() if known}
    left, silent = set(_lowest(told)), numbers.keys() - told
    strays = dict(node.strays.values_list("number", "unfinished"))
    if strays:
        _keep_free(strays)
    noted = {number for number, unfinished in strays.items() if unfinished}
    if not left | noted:
        return
    under_way = Q(operations__outcome=Operation.Outcome.OPEN) | Q(operations__ended_at__gte=began)
    left -= set(Container.objects.filter(under_way, pk__in=left).values_list("pk", flat=True))
    node.strays.filter(number__in=noted - left - silent, unfinished=True).delete()
    room = max(0, MOST - len(strays))
    if new := sorted(left - strays.keys())[:room]:
        begun = [Stray(node=node, number=number, unfinished=True) for number in new]
        _keep(node, begun, "never finished on node %s: %s")


def _keep(node: Node, strays: list[Stray], told: str) -> None:
    """Save these notes. No container made from now on gets one of their numbers: it would find an
    instance of its name on the node, and take that for its own."""
    _keep_free(stray.number for stray in strays)
    Stray.objects.bulk_create(strays, ignore_conflicts=True)
    logger.warning(told, node.name, ", ".join(map(str, strays)))


def _keep_free(numbers: Iterable[int]) -> None:
    """Reserve those of the numbers that new containers will come to before long. One that is far
    ahead can wait, and reserving it would make all numbers after it too long to be recognised."""
    last = last_given(Container)
    if near := [number for number in numbers if last < number <= last + LEAP]:
        reserve(Container, max(near))
