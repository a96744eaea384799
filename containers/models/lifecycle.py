"""A model whose `status` moves along a table of transitions, and the buttons read off it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from django.db import models
from django_fsm import GET_STATE, FSMField, FSMModelMixin, Transition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from panel.models import User


def as_reported(*statuses: str) -> GET_STATE:
    """The target of a transition where the node decides: whichever of these is passed as `now`."""
    return GET_STATE(lambda self, now: now, states=statuses)


@dataclass(frozen=True)
class Action:
    """A button.

    - `deadline` is how long the work may take before the node is asked what became of it; None
      means that the action is done at once.
    - `warning` says what will be lost; it has to be confirmed, with `typed` by typing the name.
    - `says` returns a further sentence or question about one object, or "".
    - `asks_target`: a node has to be chosen.
    """

    name: str
    label: str
    icon: str
    deadline: timedelta | None = None
    warning: str = ""
    says: Callable[[Any], str] | None = None
    typed: bool = False
    danger: bool = False
    asks_target: bool = False

    def question(self, thing: Lifecycle) -> str:
        """What has to be confirmed before the action is done to `thing`; "" where nothing has."""
        said = self.says(thing) if self.says else ""
        return f"{said} {self.warning}".strip()

    def phrase(self, count: int) -> str:
        """What is typed in place of a name, to confirm the action on this many at once."""
        return f"{self.label.lower()} {count}"


class Lifecycle(FSMModelMixin, models.Model):
    """Reads the `@transition`s of the field `status`: they are the only list of what may be done
    when and by whom.

    An *arrow* is what django-fsm calls a `Transition`: a decorated method, out of one of its source
    statuses. An arrow with a label is a button; one without is made by the panel itself.
    """

    class Meta:
        abstract = True

    if TYPE_CHECKING:
        # What FSMField adds to its model.
        status: str

        def get_available_status_transitions(self) -> Iterator[Transition]: ...

    def actions_for(self, user: User | None) -> list[Action]:
        """The buttons that this person has now, in the order of the table.

        Pages, guards, bulk actions, admin site and tests all ask here. None stands for the
        panel itself, which creates what was paid: it may do whatever the status allows.
        """
        return [
            action
            for arrow, action in _buttons_out_of(type(self), self.status)
            if all(condition(self) for condition in arrow.conditions)
            and (user is None or arrow.has_perm(self, user))
        ]

    def action_for(self, user: User | None, name: str) -> Action | None:
        """The button of this name, if this person has it now."""
        return next((each for each in self.actions_for(user) if each.name == name), None)

    def is_ever_for(self, user: User) -> bool:
        """Whether this person may press any button of it, in whatever status."""
        return any(arrow.has_perm(self, user) for arrow, _ in _buttons_of(type(self)))

    @classmethod
    @cache
    def actions(cls) -> dict[str, Action]:
        """Every button there is, by name, whoever may press it and when."""
        return {action.name: action for _, action in _buttons_of(cls)}

    @classmethod
    def transitions(cls) -> list[Transition]:
        """Every arrow of the table, one for each source."""
        field = cast(FSMField, cls._meta.get_field("status"))
        return list(field.get_all_transitions(cls))

    @classmethod
    @cache
    def sources_of(cls, name: str) -> tuple[str, ...]:
        """The statuses that a transition leads out of, for queries about many rows."""
        return tuple(str(arrow.source) for arrow in cls.transitions() if arrow.name == name)


@cache
def _buttons_of(model: type[Lifecycle]) -> list[tuple[Transition, Action]]:
    """Every arrow that is a button, in the order in which they are written down."""
    labelled = [arrow for arrow in model.transitions() if "label" in arrow.custom]
    labelled.sort(key=lambda arrow: list(vars(model)).index(arrow.name))
    return [(arrow, Action(name=arrow.name, **arrow.custom)) for arrow in labelled]


@cache
def _buttons_out_of(model: type[Lifecycle], status: str) -> list[tuple[Transition, Action]]:
    """Cached, as a list asks for each of its rows."""
    return [(arrow, action) for arrow, action in _buttons_of(model) if arrow.source == status]
