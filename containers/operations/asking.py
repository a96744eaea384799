"""The door for asking: transition, Operation and history in one transaction, or nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from containers.models import Container, Node, Operation
from containers.operations.carrying import wake
from containers.operations.outcomes import record
from containers.placement import NoNodeFits, place
from containers.throttle import TOO_FAST, is_too_fast, lock_if_limited
from panel.tracing import request_id

if TYPE_CHECKING:
    from panel.models import User


class NotAllowed(Exception):
    """The action is not possible now, or not for this person. `container` is the row as it is now;
    `sentence` says why, in plain words."""

    def __init__(self, container: Container, sentence: str) -> None:
        super().__init__(sentence)
        self.container = container
        self.sentence = sentence


class TooFast(NotAllowed):
    """The only reason is that this person has asked for too much within a minute."""


def request(
    container_id: int,
    action: str,
    *,
    by: User | None,
    because: str = "",
    target: int | None = None,
) -> Operation | None:
    """Ask for an action on a container. Returns the Operation that carries it out, or None
    where the action is done at once.

    `by` is the person; None is the panel itself, which needs no permission. `target` is the
    node to migrate to; without it the one with the most room is taken. Of any number of
    simultaneous calls exactly one has an effect. Raises NotAllowed (TooFast, where asking again
    in a minute may help), and NoNodeFits after having noted that a container still waits
    to be created.
    """
    try:
        return _request(container_id, action, by=by, because=because, target=target)
    except NoNodeFits as reason:
        if action == "create":
            _wait_for_room(container_id, reason.sentence)
        raise


def refusal(
    container_id: int, action: str, *, by: User, because: str = "", target: int | None = None
) -> str:
    """Ask for an action on one container of many. Returns why it was refused, in plain words; "" if
    it was not."""
    try:
        request(container_id, action, by=by, because=because, target=target)
    except (NotAllowed, NoNodeFits) as reason:
        return reason.sentence
    return ""


@transaction.atomic
def _request(
    container_id: int, name: str, *, by: User | None, because: str, target: int | None
) -> Operation | None:
    if by is not None:
        lock_if_limited(by)
    container = Container.objects.locked(container_id)
    action = container.action_for(by, name)
    if action is None:
        raise NotAllowed(container, why_not(container, name))
    if by is not None and is_too_fast(by):
        raise TooFast(container, TOO_FAST)

    was = container.status
    destination = None
    if name == "create":
        container.node = place(container)
        container.create_again_at = None
    elif action.asks_target:
        destination = place(container, wanted=target)
    getattr(container, name)()
    container.problem = ""

    if was == container.status:
        operation = _harden(container)
    elif action.deadline is None:
        operation = None
    else:
        operation = open_operation(
            container, name, was=was, target=destination, by=by, because=because
        )
    record(container, was, operation, by=by, because=because or action.label)
    return operation


def open_operation(
    container: Container,
    kind: str,
    *,
    was: str,
    by: User | None,
    because: str = "",
    target: Node | None = None,
) -> Operation:
    """Write the Operation for a container that has just gone from `was` into a transient status,
    and wake a worker for it on commit. `kind` is the action whose steps are carried out."""
    now = timezone.now()
    operation = Operation.objects.create(
        container=container,
        kind=kind,
        node=container.node,
        target=target,
        was=was,
        during=container.status,
        asked_by=by,
        because=because,
        asked_at=now,
        request_id=request_id(),
        woken_at=now,
        not_before=now,
        deadline_at=now + Container.deadline_of(kind),
    )
    wake(operation.pk)
    return operation


def _harden(container: Container) -> Operation:
    """Have the open Operation pull the plug instead of waiting, and return it."""
    operation = container.operations.open().get()
    operation.forced, operation.not_before = True, timezone.now()
    operation.save(update_fields=["forced", "not_before"])
    wake(operation.pk)
    return operation


def why_not(container: Container, name: str) -> str:
    """One sentence that says why this action is not possible."""
    action = Container.actions().get(name)
    label = action.label if action else "this"
    if container.withdrawn_at:
        return f"The order of {container.name} was taken back: {label} is not possible."
    return f"{container.name} is {container.get_status_display()} now: {label} is not possible."


def _wait_for_room(container_id: int, problem: str) -> None:
    """Note why the container waits, and when it is tried again; its status stays."""
    again = timezone.now() + timedelta(seconds=settings.ROOM_PAUSE)
    Container.objects.filter(pk=container_id, node=None, withdrawn_at=None).update(
        create_again_at=again, problem=problem, revision=F("revision") + 1
    )


def try_again(container_id: int) -> None:
    """Give a creation that was given up another round of tries, beginning now."""
    Container.objects.filter(pk=container_id).update(
        create_tries=0, create_again_at=timezone.now(), revision=F("revision") + 1
    )
