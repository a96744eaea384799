"""Search among containers and the rows that belong to them: what a text may mean, how it is looked
up in the indexes, and when it is quicker to read along a list instead.

A name is found by three letters or more that stand anywhere in it, or by its first one or two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from django.db import connections
from django.db.models import (
    BooleanField,
    Count,
    Exists,
    F,
    Func,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Window,
)
from django_cte import CTE, with_cte

from containers.counting import FAR_ENOUGH
from containers.models import Container, Operation
from containers.models.history import FAILURE
from panel.models import User

# The shortest text that an index of trigrams finds.
SHORTEST = 3
LARGEST_ID = 2**63 - 1
# A search with many matches looks first through this many rows of the sorted list. That takes less
# time than the page around it.
LOOKED_THROUGH = 1_000
# If so many of them match, reading on along the sort fills a page soon.
SOME = 5
# Otherwise its matches are looked up and sorted, if there are no more than these.
SORTED = 50_000
# The columns that a search compares, and those that its list can be sorted by.
_COLUMNS = (
    "pk", "name", "customer", "address", "plan", "node", "status", "status_since", "withdrawn_at",
)  # fmt: skip


def matching(
    found: QuerySet[Container], text: str, whose: Sequence[int] | None = None
) -> QuerySet[Container]:
    """The containers that match, by conditions that the database checks row by row: quick if there
    are many. `whose` are the people who match, if the caller has looked them up already."""
    condition = name_has(text) | Q(customer__in=people(text) if whose is None else whose)
    for meaning in _other_meanings(text, found.db):
        condition |= meaning
    return found.filter(condition)


def looked_up(
    found: QuerySet[Container],
    text: str,
    most: int,
    whose: Sequence[int] | None = None,
    *,
    of_few: bool = False,
) -> QuerySet[Container]:
    """The same containers, looked up in the indexes: at most `most` for each meaning of the text.
    With `of_few`, for the containers of one customer or node, names are compared one by one: the
    index of names would bring everybody's."""
    name = name_has(text) if of_few else indexed_name_has(text, found.db)
    keys = keys_of_any(found, _meanings(name, text, found.db, whose), most)
    return Container.objects.filter(pk__in=keys).order_by()


def among_the_first(
    listed: QuerySet[Container], text: str, whose: Sequence[int] | None = None
) -> QuerySet[Container]:
    """The matches among the first `LOOKED_THROUGH` rows of a sorted list; no more are read."""
    first = CTE(listed.only(*_COLUMNS)[:LOOKED_THROUGH], name="first")
    return matching(with_cte(first, select=first.queryset()), text, whose)


def all_if_few(
    found: QuerySet[Container], text: str, whose: Sequence[int] | None = None
) -> QuerySet[Container]:
    """All matches, looked up in the indexes, for the caller to sort; none at all if there are more
    than `SORTED`."""
    if connections[found.db].vendor == "sqlite":
        rows = looked_up(found, text, SORTED + 1, whose)
    else:
        # Given only their keys, PostgreSQL would look for these along the index of the sort.
        columns = found.order_by().only(*_COLUMNS)
        meanings = _meanings(name_has(text), text, found.db, whose)
        first, *others = (columns.filter(meaning)[: SORTED + 1] for meaning in meanings)
        matches = CTE(first.union(*others), name="matches")
        rows = with_cte(matches, select=matches.queryset())
    return rows.alias(how_many=Window(Count("pk"))).filter(how_many__lte=SORTED)


def _meanings(name: Q, text: str, alias: str, whose: Sequence[int] | None) -> list[Q]:
    theirs = of_people(text, alias) if whose is None else Q(customer__in=whose)
    return [name, theirs, *_other_meanings(text, alias)]


def _other_meanings(text: str, alias: str) -> list[Q]:
    """Beside a name the text may be an address, a number ("104" or "ct-104"), or the number of an
    order ("order 104")."""
    meanings = []
    if re.fullmatch(r"[0-9a-f.:]+", text):
        sqlite = connections[alias].vendor == "sqlite"
        meanings.append(_starts_with("address", text) if sqlite else Q(address__startswith=text))
    if (number := number_in(text, "ct-")) is not None:
        meanings.append(Q(pk=number))
    if text.lower().startswith("order") and (number := number_in(text, "order")) is not None:
        meanings.append(Q(order=number))
    return meanings


def number_in(text: str, prefix: str = "") -> int | None:
    """The number in a text of digits, with or without `prefix` before it; None for any other text,
    and for a number that is larger than any key."""
    digits = text.lower().removeprefix(prefix).strip(" #")
    # int() refuses thousands of digits.
    if not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(LARGEST_ID))):
        return None
    return number if (number := int(digits)) <= LARGEST_ID else None


def keys_of_any(found: QuerySet[Any], meanings: Iterable[Q], most: int) -> QuerySet[Any, Any]:
    """The keys of the rows that meet one of the conditions `meanings`. Each of these is looked up
    in an index of its own, and finds at most `most` rows."""
    keys = [found.filter(meaning).order_by().values("pk")[:most] for meaning in meanings]
    if not connections[found.db].features.supports_slicing_ordering_in_compound:
        everything: QuerySet[Any] = found.model._default_manager.order_by()
        keys = [everything.filter(pk__in=some).values("pk") for some in keys]
    return keys[0].union(*keys[1:])


def few_or_many(
    rows: QuerySet[Any],
    text: str,
    looked_up: Callable[[Any, str, int], QuerySet[Any]],
    matching: Callable[[Any, str], QuerySet[Any]],
) -> QuerySet[Any]:
    """The rows that match, which the caller lists newest first. They are looked up if there are
    few, or if there are many and hardly any among the newest; otherwise checked row by row."""
    return _narrowed(rows, "pk", partial(looked_up, rows, text), matching(rows, text))


def of_found(
    rows: QuerySet[Any], containers: QuerySet[Container], text: str, *, of_few: bool = False
) -> QuerySet[Any]:
    """The rows that belong to a container that matches, found in the same ways."""
    one = Container.objects.filter(pk=OuterRef("container"))
    row_by_row = rows.filter(Exists(matching(one, text)))
    theirs = partial(looked_up, containers, text, of_few=of_few)
    return _narrowed(rows, "container", theirs, row_by_row)


def failures(changes: QuerySet[Any], operations: QuerySet[Operation]) -> QuerySet[Any]:
    """The changes with which one of these Operations failed, to be listed newest first."""
    failed = operations.filter(outcome=Operation.Outcome.FAILED).order_by()
    row_by_row = changes.filter(FAILURE)
    return _narrowed(changes, "operation", lambda most: failed[:most], row_by_row).filter(FAILURE)


def _narrowed(
    rows: QuerySet[Any],
    column: str,
    looked_up: Callable[[int], QuerySet[Any]],
    row_by_row: QuerySet[Any],
) -> QuerySet[Any]:
    """The rows whose `column` is one of the keys that `looked_up` finds (at most as many as it is
    told); or `row_by_row`, which has to find the same rows, if that is quicker."""
    first = list(looked_up(FAR_ENOUGH + 1).values_list("pk", flat=True)[: FAR_ENOUGH + 1])
    if len(first) <= FAR_ENOUGH:
        return rows.filter(**{f"{column}__in": first})
    newest = rows.order_by("-pk").values("pk")[:LOOKED_THROUGH]
    if row_by_row.order_by().filter(pk__in=newest)[:SOME].count() == SOME:
        return row_by_row
    # PostgreSQL plans for as many as may be found, so that fewer are found sooner.
    for most in (SORTED // 5, SORTED):
        keys = looked_up(most + 1).values("pk")
        if keys.count() <= most:
            return rows.filter(one_of(column, keys, rows.db))
    return row_by_row


def name_has(text: str, of: str = "") -> Q:
    """The name contains the text; of two letters or less, it begins with it. Checked row by row.
    With `of="container__"`, for rows that belong to a container."""
    part = text.lower()
    where = "contains" if len(part) >= SHORTEST else "startswith"
    return Q(**{f"{of}name__{where}": part})


def indexed_name_has(text: str, alias: str, of: str = "") -> Q:
    """The same condition, looked up in the index of names."""
    part = text.lower()
    if connections[alias].vendor != "sqlite":
        return name_has(text, of)
    if len(part) < SHORTEST:
        return _starts_with(f"{of}name", part)
    return Q(**{f"{of}nameindex__name__match": _phrase(part)})


def people(text: str) -> QuerySet[User, Any]:
    """The keys of the people whose name contains the text, or whose address it is. For an
    address, and for a text without a word of three letters, all people are read."""
    words = [word for word in text.split() if len(word) >= SHORTEST]
    meant = Q(username__icontains=text)
    if " " in text:
        whole = Q(whole_name__icontains=text)
        # There is an index for each of the two names, and none for the whole.
        for word in words:
            whole &= Q(first_name__icontains=word) | Q(last_name__icontains=word)
        meant |= whole
    else:
        meant |= Q(first_name__icontains=text) | Q(last_name__icontains=text)
    found = User.objects.with_whole_name().order_by()
    if "@" in text:
        meant |= Q(email__iexact=text)
    elif words and connections[found.db].vendor == "sqlite":
        found = found.filter(peopleindex__names__match=" ".join(map(_phrase, words)))
    return found.filter(meant).values("pk")


def _phrase(text: str) -> str:
    """The text as a string of FTS5's query language, in which nothing has a meaning of its own."""
    return '"{}"'.format(text.replace('"', '""'))


def people_once(text: str, most: int) -> Sequence[int] | None:
    """The same keys as a list, to be used in several queries; None if there are more than
    `most`."""
    found = list(people(text).values_list("pk", flat=True)[: most + 1])
    return found if len(found) <= most else None


def of_people(text: str, alias: str) -> Q:
    """Rows of the customers who match, looked up customer by customer."""
    return one_of("customer", people(text), alias)


def one_of(column: str, keys: QuerySet[Any, Any], alias: str) -> Q:
    """Rows whose column is one of the keys, looked up key by key."""
    if connections[alias].vendor == "sqlite":
        return Q(**{f"{column}__in": keys})
    # As an array: PostgreSQL assumes that a subquery returns many rows, and would read everything.
    among = Func(
        F(column), _AnyOf(keys), arg_joiner=" = ", template="(%(expressions)s)",
        output_field=BooleanField(),
    )  # fmt: skip
    return Q(among)


class _AnyOf(Subquery):
    template = "ANY(ARRAY(%(subquery)s))"


def _starts_with(field: str, text: str) -> Q:
    """As a range: SQLite's LIKE ignores case, and so cannot use an index, which does not."""
    return Q(**{f"{field}__gte": text, f"{field}__lt": f"{text}\U0010ffff"})
