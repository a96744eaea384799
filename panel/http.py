"""A request as the views of the panel get it: signed in, and knowing about htmx; and how they send
a person to another page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

if TYPE_CHECKING:
    from panel.models import User


class Request(HttpRequest):
    """What SignInMiddleware lets through to a view. For annotations only."""

    user: User
    htmx: HtmxDetails


def go_to(request: Request, to: Any) -> HttpResponse:
    """A redirect of the whole page, to what Django's `redirect` takes: a page that is asked for by
    htmx would be put into the dialog otherwise."""
    if request.htmx:
        return HttpResponseClientRedirect(resolve_url(to))
    return redirect(to)
