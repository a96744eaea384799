"""Search among orders and payments: what a text may mean, and the indexes that find it."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q

from containers import search
from orders.models import Order, Payment, Plan
from orders.models.order import OrderQuerySet
from orders.models.payment import PaymentQuerySet


def matching(found: OrderQuerySet, text: str) -> OrderQuerySet:
    """Those whose number ("12" or "order 12"), container, plan or customer the text means, by
    conditions that are checked row by row: for a text that matches many."""
    matches = search.name_has(text, of="container__") | Q(customer__in=search.people(text))
    for meaning in _other_meanings(text):
        matches |= meaning
    return found.filter(matches)


def looked_up(found: OrderQuerySet, text: str, most: int, *, of_few: bool = False) -> OrderQuerySet:
    """The same, looked up in the indexes: at most so many for each meaning of the text. `of_few`:
    those of one customer, whose containers' names are compared one by one."""
    of = "container__"
    meanings = [
        search.name_has(text, of) if of_few else search.indexed_name_has(text, found.db, of),
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


def payments_matching(found: PaymentQuerySet, text: str) -> PaymentQuerySet:
    """Those whose number ("payment 12"), number at the gateway, or order the text means, by
    conditions that are checked row by row: for a text that matches many."""
    matches = Q(Exists(matching(Order.objects.filter(pk=OuterRef("order")), text)))
    for meaning in _own_meanings(text):
        matches |= meaning
    return found.filter(matches)


def payments_looked_up(found: PaymentQuerySet, text: str, most: int) -> PaymentQuerySet:
    """The same, looked up in the indexes: at most so many for each meaning of the text."""
    first = list(looked_up(Order.objects.all(), text, most).values_list("pk", flat=True)[:most])
    theirs = Q(order__in=first)
    if len(first) == most:
        # There may be more orders than these, and few of these may have payments.
        orders = looked_up(Order.objects.all(), text, search.SORTED + 1).values("pk")
        if orders.count() > search.SORTED:
            return payments_matching(found, text)
        theirs = search.one_of("order", orders, found.db)
    keys = search.keys_of_any(found, [theirs, *_own_meanings(text)], most)
    return Payment.objects.filter(pk__in=keys).order_by()


def _own_meanings(text: str) -> list[Q]:
    meanings = [Q(transaction_id=text)]
    if (number := search.number_in(text, "payment")) is not None:
        meanings.append(Q(pk=number))
    return meanings
