"""Where the database and a node disagree: what will be done is said first, and done when it is
confirmed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_http_methods

from containers import settling
from containers.differences import (
    ADOPT,
    CLEAR_AWAY,
    CREATE_AGAIN,
    FORGET,
    REMOVE_COPY,
    TAKE_OVER,
    Difference,
    differences_on,
)
from containers.forms import AdoptForm
from containers.models import Action, Node
from containers.paging import ROWS_PER_PAGE
from containers.settling import NotPossible
from panel.http import Request, dialog, go_to

DOORS: dict[str, Callable[..., str]] = {
    TAKE_OVER.name: settling.take_over,
    CREATE_AGAIN.name: settling.create_again,
    FORGET.name: settling.forget,
    REMOVE_COPY.name: settling.remove_copy,
    CLEAR_AWAY.name: settling.clear_away,
}


@require_http_methods(["GET", "HEAD", "POST"])
def settle(request: Request, pk: int, number: int, name: str) -> HttpResponse:
    """Settle a difference by the door of this name. Whatever comes of it leads back to the node, to
    the page of its differences that this one is on."""
    node = get_object_or_404(Node.objects.visible_to(request.user), pk=pk)
    found = next(
        (
            (place, each, action)
            for place, each in enumerate(differences_on(node))
            for action in each.actions
            if (each.number, action.name) == (number, name)
        ),
        None,
    )
    if found is None:
        messages.info(request, "This is settled already, or cannot be settled now.")
        return go_to(request, node)
    place, difference, action = found
    back = f"{node.get_absolute_url()}?differences={place // ROWS_PER_PAGE + 1}"
    answer = _adopt if action is ADOPT else _confirm
    try:
        return answer(request, node, difference, action, back)
    except NotPossible as reason:
        messages.error(request, reason.sentence)
        return go_to(request, back)


def _confirm(
    request: Request, node: Node, difference: Difference, action: Action, back: str
) -> HttpResponse:
    typed = request.POST.get("name", "").strip()
    name = difference.container.name if difference.container else None
    if request.method == "POST" and (typed == name or not action.typed):
        done = DOORS[action.name](node, difference.number, by=request.user)
        messages.success(request, done)
        return go_to(request, back)
    wrong = request.method == "POST"
    return _ask(request, "confirm", node, difference, action, back=back, typed=typed, wrong=wrong)


def _adopt(
    request: Request, node: Node, difference: Difference, action: Action, back: str
) -> HttpResponse:
    if request.method == "POST":
        form = AdoptForm(request.POST)
        if form.is_valid():
            done = settling.adopt(node, difference.number, by=request.user, **form.cleaned_data)
            messages.success(request, done)
            return go_to(request, back)
    found = settling.proposal(node, difference.number)
    if request.method != "POST":
        name = found.spec.hostname.partition(".")[0] or found.spec.name
        form = AdoptForm(initial={"name": name})
    return _ask(request, "adopt", node, difference, action, back=back, found=found, form=form)


def _ask(
    request: Request, what: str, node: Node, difference: Difference, action: Action, **more: Any
) -> HttpResponse:
    context = {"section": "nodes", "node": node, "difference": difference, "action": action, **more}
    title, status = f"{action.label} {difference.name}", 422 if request.method == "POST" else 200
    return dialog(request, f"containers/nodes/_{what}.html", title, context, status=status)
