"""A text that was sent in a form which was refused is shown again, to be copied."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render, resolve_url

from panel.http import is_ours


def typed(request: HttpRequest) -> str:
    """The text that a form of this panel sent: of a file, or the name and key of an order. Nothing
    from a form on another site, which could put its own words onto a page of ours."""
    if request.headers.get("Origin") != f"{request.scheme}://{request.get_host()}":
        return ""
    sent = request.POST
    ordered = [sent.get("name", ""), sent["ssh_key"]] if "ssh_key" in sent else []
    return sent.get("content", "") or "\n".join(filter(None, ordered))


def page_of_form(request: HttpRequest) -> str:
    """The page whose form was sent, as the browser tells it; else the start page."""
    said = request.headers.get("Referer", "")
    return said if is_ours(request, said) else resolve_url(settings.LOGIN_REDIRECT_URL)


def no_longer_valid(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF_FAILURE_VIEW: a form that is not of this sign-in."""
    context = {"typed": typed(request), "page": page_of_form(request)}
    return render(request, "403_csrf.html", context, status=403)
