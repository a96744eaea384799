"""A request as the views of the panel get it: signed in, and knowing about htmx."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

if TYPE_CHECKING:
    from panel.models import User


class Request(HttpRequest):
    """What SignInMiddleware lets through to a view. For annotations only."""

    user: User
    htmx: HtmxDetails
