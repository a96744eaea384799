"""Search among orders: what a text may mean, and the indexes that find it."""

from __future__ import annotations

from django.db.models import Q

from containers import search
from orders.models import Order, Plan
from orders.models.order import OrderQuerySet


def matching(found: OrderQuerySet, text: str) -> OrderQuerySet:
    """Those of the found whose number ("12" or "order 12"), container, plan or customer it is;
    told row by row: for a text that matches many."""
    matches = search.in_name(text, of="container__") | Q(customer__in=search.people(text))
    for meaning in _other_meanings(text):
        matches |= meaning
    return found.filter(matches)


def looked_up(found: OrderQuerySet, text: str, most: int) -> OrderQuerySet:
    """The same, looked up in the indexes: at most so many for each meaning of the text."""
    meanings = [
        search.named(text, found.db, of="container__"),
        search.of_people(text, found.db),
        *_other_meanings(text),
    ]
    keys = search.keys_of_any(found, meanings, most)
    return Order.objects.filter(pk__in=keys).order_by()


def _other_meanings(text: str) -> list[Q]:
    """A plan, a number."""
    meanings = [Q(plan__in=Plan.objects.filter(name__icontains=text).order_by().values("pk"))]
    if (number := search.number_in(text, "order")) is not None:
        meanings.append(Q(pk=number))
    return meanings
