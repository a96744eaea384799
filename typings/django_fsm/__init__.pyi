"""What Berth uses of django-fsm-2, as it is used: its own hints know no project's models."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from django.db import models

F = TypeVar("F", bound=Callable[..., Any])

class Transition:
    method: Callable[..., Any]
    source: str
    target: Any
    conditions: list[Callable[[Any], bool]]
    permission: Callable[[Any, Any], bool] | None
    custom: Mapping[str, Any]
    @property
    def name(self) -> str: ...
    def has_perm(self, instance: Any, user: Any) -> bool: ...

class FSMField(models.CharField[str, str]):
    def __init__(self, *args: Any, protected: bool = ..., **kwargs: Any) -> None: ...
    def get_all_transitions(self, instance_cls: type[models.Model]) -> Iterator[Transition]: ...

class FSMModelMixin(models.Model):
    class Meta:
        abstract = True

class TransitionNotAllowed(Exception): ...

class State:
    allowed_states: Sequence[str]

class GET_STATE(State):  # noqa: N801
    def __init__(self, func: Callable[..., str], states: Sequence[str] | None = ...) -> None: ...

def can_proceed(bound_method: Callable[..., Any], check_conditions: bool = ...) -> bool: ...
def transition(
    field: Any,
    source: str | Sequence[str] = ...,
    target: str | State | None = ...,
    on_error: str | None = ...,
    conditions: list[Callable[[Any], bool]] | None = ...,
    permission: Callable[[Any, Any], bool] | None = ...,
    custom: Mapping[str, Any] | None = ...,
) -> Callable[[F], F]: ...
