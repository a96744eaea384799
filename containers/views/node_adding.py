"""Adding a real node: how to reach the server, then what of it becomes a Node."""

from __future__ import annotations

from dataclasses import asdict

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from containers import registration
from containers.connect import server_at
from containers.drivers import DriverError
from containers.drivers.incus.about import in_words
from containers.forms import ReachForm
from containers.registration import CannotAdd, Offer
from containers.views.nodes import administrators_only
from panel.http import Request

# Where the session keeps the server between the two steps: the token is used up by the first.
_REACHED = "node_reached"


@require_http_methods(["GET", "HEAD", "POST"])
@administrators_only
def reach(request: Request) -> HttpResponse:
    """The first step: the server is asked to trust the panel."""
    form = ReachForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            server = registration.reach(
                form.cleaned_data["where"].strip(), project=form.cleaned_data["project"]
            )
        except DriverError as error:
            form.add_error("where", ValidationError(in_words(error)))
        else:
            request.session[_REACHED] = {
                "address": server.address,
                "certificate": server.certificate,
                "project": server.project,
                "pool": form.cleaned_data["pool"],
            }
            return redirect("containers:node_choose")
    context = {"section": "nodes", "form": form}
    status = 422 if form.errors else 200
    return render(request, "containers/nodes/reach.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@administrators_only
def choose(request: Request) -> HttpResponse:
    """The second step: what the server is and has; in a cluster, which members."""
    reached = request.session.get(_REACHED)
    if reached is None:
        return redirect("containers:node_add")
    server = server_at(reached["address"], reached["certificate"], reached["project"])
    errors: list[str] = []
    wrong: str | None = None
    found: list[Offer] = []
    try:
        found = registration.offers(server, pool=reached["pool"])
        if request.method == "POST":
            chosen = _chosen(request, found)
            nodes = registration.add(server, pool=reached["pool"], chosen=chosen)
            del request.session[_REACHED]
            names = ", ".join(node.name for node in nodes)
            messages.success(request, f"Added {names}.")
            return redirect("containers:nodes")
    except CannotAdd as reason:
        errors, wrong = list(reason.sentences), reason.name
    except DriverError as error:
        errors = [in_words(error)]
    context = {
        "section": "nodes",
        "errors": errors,
        "address": server.address,
        "wrong": wrong,
        "offers": [
            asdict(offer) | {"typed": request.POST.get(f"name-{number}", offer.name).strip()}
            for number, offer in enumerate(found)
        ],
    }
    status = 422 if errors else 200
    return render(request, "containers/nodes/choose.html", context, status=status)


def _chosen(request: Request, found: list[Offer]) -> list[tuple[str, str | None]]:
    """The pairs of name and member that were ticked. Raises CannotAdd."""
    ticked = [
        (request.POST.get(f"name-{number}", "").strip(), offer.member)
        for number, offer in enumerate(found)
        if f"add-{number}" in request.POST
    ]
    if not ticked:
        raise CannotAdd("Tick at least one.")
    if len({name for name, _ in ticked}) < len(ticked):
        raise CannotAdd("Two of them have the same name.")
    return ticked
