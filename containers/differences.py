"""Where the database and a node disagree about what is there. Nothing is changed by itself: an
administrator settles it, through the doors of `settling`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from django.db.models import QuerySet, Value

from containers.models import Action, Container, Node, Operation, Stray
from containers.statuses import Status

ADOPT = Action("adopt", "Adopt", "plus")
TAKE_OVER = Action(
    "take_over", "Take over", "check",
    warning="From now on the panel looks for it on this node, and shows the status that this "
    "node reports. It bears the panel's mark then; nothing else is touched on either node.",
)  # fmt: skip
REMOVE_COPY = Action(
    "remove_copy", "Remove this copy", "trash", danger=True, typed=True,
    warning="A move that was given up has left it. The copy on this node and every file in it are "
    "deleted; the container stays on its own node, as it is.",
)  # fmt: skip
CLEAR_AWAY = Action(
    "clear_away", "Clear away", "trash", danger=True,
    warning="It was never finished, and nothing has ever run in it. It is deleted from this node; "
    "no container is touched.",
)  # fmt: skip
CREATE_AGAIN = Action(
    "create_again", "Create again", "refresh",
    warning="It is made anew on this node, from the image of its system. Nothing of what was in "
    "it comes back.",
)  # fmt: skip
FORGET = Action(
    "forget", "Forget", "trash", danger=True, typed=True,
    warning="It counts as Destroyed from now on; its record is kept. Nothing is touched on the "
    "node. Should the container turn up again, the panel cannot take it back.",
)  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """An instance that is on a node (`is_here`) although the database does not know it there, or is
    not there although it should be.

    `number` is the id of the container that it is named for, `container` that container, if
    there is one. One made `by_hand` is not the panel's: it is left alone until it is adopted
    or taken over. One that is `unfinished` was begun by a creation or a move that was given up.
    `elsewhere` is the other node that is concerned, if one is.
    """

    number: int
    name: str
    is_here: bool
    text: str
    container: Container | None = None
    elsewhere: Node | None = None
    actions: tuple[Action, ...] = ()
    by_hand: bool = False
    unfinished: bool = False

    @property
    def key(self) -> str:
        """The id of its row: what is unfinished may have the number of a missing container."""
        return f"{'unfinished' if self.unfinished else 'difference'}-{self.number}"


def differences_on(node: Node) -> list[Difference]:
    """What differs, going by the last answers of the node: it is not asked now. While it is
    off-line, no action is offered."""
    strays = list(node.strays.all())
    known = Container.objects.select_related("node").in_bulk([stray.number for stray in strays])
    moves = Operation.objects.moves_since_made(node).filter(container__in=known)
    moved = set(moves.values_list("container", flat=True))
    missing = node.containers.filter(status=Status.OFFLINE, missing=True).order_by("name", "pk")
    # Where another instance bears its name here, the difference of that one says all.
    missing = missing.exclude(pk__in=[stray.number for stray in strays if not stray.unfinished])
    seen = Stray.objects.filter(number__in=missing.order_by().values("pk"))
    seen = seen.filter(another=False, unfinished=False).select_related("node")
    elsewhere = {stray.number: stray.node for stray in seen}
    found = [
        *(
            _unfinished(stray, known.get(stray.number))
            if stray.unfinished
            else _unknown(stray, known.get(stray.number), moved=stray.number in moved)
            for stray in strays
        ),
        *(_missing(container, elsewhere.get(container.pk)) for container in missing),
    ]
    return found if node.online else [replace(each, actions=()) for each in found]


def counts_on(nodes: QuerySet[Node] | list[Node]) -> Counter[int]:
    """How many differences there are on each of these nodes, by its key; one query."""
    missing = Container.objects.filter(status=Status.OFFLINE, missing=True, node__in=nodes)
    here = (
        Stray.objects.filter(node__in=nodes).order_by().values_list("node", "number", "unfinished")
    )
    gone = missing.order_by().values_list("node", "pk", Value(False))
    # Where another one bears the name of one that is missing, that is one difference.
    return Counter(node for node, *_ in here.union(gone))


def _unknown(stray: Stray, container: Container | None, *, moved: bool) -> Difference:
    """What the node has and the database does not have there; `moved` says that it was to move
    from here or to here."""
    own, is_another = container.node if container else None, stray.by_hand or stray.another
    elsewhere = own if own != stray.node else None
    actions: tuple[Action, ...] = ()
    if container is None:
        text, actions = "The database has no container of this number.", (ADOPT,)
    elif container.withdrawn_at:
        text = "Its order was cancelled before anything was to be created."
    elif own is None:
        text = f"The database has it as {container.get_status_display()}, on no node."
        if is_another and container.status == Status.ORDERED:
            text = "It is another one. The container of this number cannot be created here before "
            text += "this one is renamed; it can be adopted then."
    elif container.is_gone() and not stray.another:
        text, actions = "The database has it on a node that does not have it:", (TAKE_OVER,)
        if elsewhere is None:
            text = "The database has it here, and this one has taken its place."
    elif is_another:
        text = "It bears the name of this container, and is another one."
        if elsewhere:
            text = "It is another one. The container of this name is on:"
        elif stray.another:
            text = "It was made for another container. What is missing can be settled once this "
            text += "one is renamed."
    elif not own.online:
        text = "The database has it on another node, which does not answer now:"
    elif not moved:
        text = "No move has left this one: it may be the right one, with all that is in it. "
        text += "The database has it on another node, which has it as well:"
    else:
        text = "The database has it on another node, which has it as well:"
        actions = () if container.is_transient else (REMOVE_COPY,)
    return Difference(
        stray.number, stray.name, True, text, container, elsewhere, actions, stray.by_hand
    )


def _unfinished(stray: Stray, container: Container | None) -> Difference:
    """What a creation or a move has begun, and nobody is at work on any more."""
    text = "It was begun and given up. Nothing runs in it, and it takes up room."
    elsewhere = container.node if container and container.node != stray.node else None
    if elsewhere:
        text += " The container is on:"
    actions = (CLEAR_AWAY,) if container is None or container.is_at_rest else ()
    return Difference(
        stray.number, stray.name, True, text, container, elsewhere, actions, unfinished=True
    )


def _missing(container: Container, elsewhere: Node | None) -> Difference:
    """What the database has on the node, and the node does not have."""
    name = container.instance_name
    if elsewhere is not None:
        text = "The database has it here. Take it over where it is now:"
        return Difference(container.pk, name, False, text, container, elsewhere)
    text = "The database has it here, and it was not the panel that deleted it."
    actions = (CREATE_AGAIN, FORGET)
    return Difference(container.pk, name, False, text, container, None, actions)
