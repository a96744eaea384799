"""The permissions of transitions. They are in a module of their own, as `who.owner`, since in a
model's class body a field of the same name would shadow them.

Each is called by django-fsm with the object and the person. The person knows their own role.
"""

from __future__ import annotations

from typing import Any, Protocol


class Person(Protocol):
    """What the rules read of a user."""

    pk: Any
    is_active: bool
    is_staff: bool

    @property
    def administers(self) -> bool: ...

    def has_perm(self, perm: str) -> bool: ...


class Owned(Protocol):
    """An object that belongs to a customer."""

    customer_id: int


def owner(thing: Owned, person: Person) -> bool:
    """The customer whose it is, and every administrator."""
    return administrator(thing, person) or (person.is_active and thing.customer_id == person.pk)


def administrator(thing: object, person: Person) -> bool:
    """People who run containers and nodes."""
    return person.administers


def staff(thing: object, person: Person) -> bool:
    """People who look after plans, orders and accounts; administrators too."""
    return person.administers or (person.is_active and person.is_staff)


def bookkeeper(thing: object, person: Person) -> bool:
    """Staff whom the Django admin lets change orders, as this moves money; administrators too."""
    may = person.is_staff and person.has_perm("orders.change_order")
    return person.administers or (person.is_active and may)


def nobody(thing: object, person: Person) -> bool:
    """No person: the panel makes these transitions itself."""
    return False
