"""A button was pressed, on one container or on all that are ticked."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST
from django_htmx.http import trigger_client_event

from containers import operations
from containers.models import Action, Container
from containers.operations import NotAllowed, TooFast
from containers.placement import NoNodeFits, candidates, targets
from containers.search import number_in
from containers.views import detail
from containers.views.rows import Listed, as_rows, as_shown, with_buttons
from panel.http import Request, dialog, go_to, is_ours

# As many as one page of the list shows, with room to spare.
AT_ONCE = 200


@require_POST
def act(request: Request, pk: int) -> HttpResponse:
    container = get_object_or_404(Container.objects.visible_to(request.user), pk=pk)
    name = request.POST.get("action", "")
    action = container.action_for(request.user, name)
    if action is not None:
        question = action.question(container)
        if question and not _confirmed(request, container.name, action):
            return _ask(request, container, action, question)
    try:
        operations.request(pk, name, by=request.user, target=_target(request))
    except (NotAllowed, NoNodeFits) as reason:
        messages.error(request, reason.sentence)
        return _answer(request, container, status=429 if isinstance(reason, TooFast) else 409)
    if not request.htmx:
        # No more than that: what comes of it is seen on the page itself.
        label = Container.actions()[name].label.lower()
        messages.info(request, f"You asked to {label} {container.name}.")
    return _answer(request, container)


def confirmed_for_all(request: HttpRequest, action: Action, count: int) -> bool:
    """Whether the person has said yes to so many at once; never to none."""
    answered = count > 0 and "confirmed" in request.POST
    return answered and _confirmed(request, action.phrase(count), action)


def _confirmed(request: HttpRequest, name: str, action: Action) -> bool:
    """Whether the person has said yes; for the worst, by typing the name."""
    if action.typed:
        return request.POST.get("name", "").strip() == name
    return "confirmed" in request.POST


def _target(request: Request) -> int | None:
    """The node that was chosen to migrate to, if one was."""
    return number_in(request.POST.get("target", ""))


def _ask(request: Request, container: Container, action: Action, question: str) -> HttpResponse:
    """Ask for confirmation, and say what will be lost or speaks against it; after a wrong name, say
    that it was wrong."""
    wrong = action.typed and "name" in request.POST
    context = {
        "section": "containers",
        "container": container,
        "action": action,
        "question": question,
        "targets": candidates(container) if action.asks_target else [],
        "typed": request.POST.get("name", ""),
        "wrong": wrong,
        "next": _back_to(request, container),
    }
    title, status = f"{action.label} {container.name}", 422 if wrong else 200
    response = dialog(request, "containers/_confirm.html", title, context, status=status)
    response["HX-Retarget"] = "#dialog"
    response["HX-Reswap"] = "innerHTML"
    return response


def _back_to(request: Request, container: Container | None) -> str:
    """Where the button was: an address of this panel, never one elsewhere."""
    wanted = request.POST.get("next", "")
    if is_ours(request, wanted) and wanted.startswith("/"):
        return wanted
    return container.get_absolute_url() if container else reverse("containers:list")


def _answer(request: Request, container: Container, *, status: int = 200) -> HttpResponse:
    """What the button was on, as it is now: the row, or the container's page; or a redirect."""
    if not request.htmx:
        if status == 200:
            return HttpResponseRedirect(_back_to(request, container))
        return detail.page(request, container, status=status)
    if request.htmx.target == f"container-{container.pk}":
        listed = Listed(Container.objects.filter(pk=container.pk))
        rows = as_rows(with_buttons(listed, request.user), request.user)
        context = {"rows": rows, "here": _back_to(request, container), "alone": True}
        response = render(request, "containers/_rows.html", context, status=status)
    elif request.htmx.target == "main":
        return detail.page(request, container, status=status)
    elif status == 200:
        response = HttpResponse(status=204)
    else:
        context = {"container": container, "next": _back_to(request, container)}
        response = render(request, "containers/_refused.html", context, status=status)
    return trigger_client_event(response, "refresh")


@require_POST
def act_on_many(request: Request) -> HttpResponse:
    sent = map(number_in, request.POST.getlist("container")[:AT_ONCE])
    ticked = [key for key in sent if key is not None]
    visible = Container.objects.visible_to(request.user)
    found = as_shown(visible.filter(pk__in=ticked).order_by("name"))
    rows = with_buttons(found, request.user)
    name = request.POST.get("action", "")
    action = Container.actions().get(name)
    back = _back_to(request, None)
    if action is None or not rows:
        messages.error(request, "Tick at least one container, then choose what to do with them.")
        return go_to(request, back)

    able = [row for row in rows if any(button.name == name for button in row.buttons)]
    context: dict[str, Any] = {
        "section": "containers",
        "action": action,
        "able": able,
        "unable": [row for row in rows if row not in able],
        "next": back,
    }
    if not confirmed_for_all(request, action, len(able)):
        context |= {
            "phrase": action.phrase(len(able)),
            "targets": targets(able) if action.asks_target else [],
            "typed": request.POST.get("name", ""),
            "wrong": action.typed and "name" in request.POST,
        }
        part, status = "containers/_confirm_many.html", 422 if context["wrong"] else 200
        return dialog(request, part, action.label, context, status=status)

    # Somebody else may have been quicker with some: the door says so of each.
    target = _target(request)
    context["results"] = [
        (row, operations.refusal(row.pk, name, by=request.user, target=target)) for row in rows
    ]
    results = dialog(request, "containers/_results.html", action.label, context)
    return trigger_client_event(results, "refresh")
