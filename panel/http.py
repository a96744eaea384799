"""A request as the views of the panel get it: signed in, and knowing about htmx; which
addresses lead to the panel; how a person is sent to another page, and asked something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

if TYPE_CHECKING:
    from panel.models import User


class Request(HttpRequest):
    """What SignInMiddleware lets through to a view. For annotations only."""

    user: User
    htmx: HtmxDetails


def is_ours(request: HttpRequest, address: str) -> bool:
    """Whether an address that somebody has sent along leads to this panel, and nowhere else."""
    return url_has_allowed_host_and_scheme(address, {request.get_host()}, request.is_secure())


def go_to(request: Request, to: Any) -> HttpResponse:
    """A redirect of the whole page, to what Django's `redirect` takes: a page that is asked for by
    htmx would be put into the dialog otherwise."""
    if request.htmx:
        return HttpResponseClientRedirect(resolve_url(to))
    return redirect(to)


def dialog(
    request: Request, part: str, title: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """What the template `part` asks or tells: for htmx as it is, to be put into the page's dialog;
    otherwise on a page of its own."""
    template = part if request.htmx else "dialog.html"
    return render(request, template, context | {"part": part, "title": title}, status=status)
