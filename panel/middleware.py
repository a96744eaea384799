"""Pages want a person who is signed in; no page may use devices or is kept by a browser; HEAD is
answered without a body."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render, resolve_url
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from panel.unsent import page_of_form, typed

GetResponse = Callable[[HttpRequest], HttpResponseBase]

NOT_DONE = "You were signed out. What you pressed last was not done."


class SignInMiddleware(LoginRequiredMiddleware):
    """Django's own, except for htmx, which would put the sign-in page into a table, and for forms:
    after signing in, one is back on the page of the form, and a text that was typed is shown once
    more."""

    def handle_no_permission(  # type: ignore[override]  # htmx wants its own kind of redirect
        self, request: HttpRequest, view_func: Callable[..., Any]
    ) -> HttpResponseBase:
        htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]
        if not htmx and request.method == "POST":
            sign_in = redirect_to_login(page_of_form(request))
            if text := typed(request):
                context = {"typed": text, "sign_in": sign_in.url}
                return render(request, "signed_out.html", context, status=403)
            messages.warning(request, NOT_DONE)
            return sign_in
        if not htmx:
            return super().handle_no_permission(request, view_func)
        if request.method == "POST":
            messages.warning(request, NOT_DONE)
        back_to = resolve_url(settings.LOGIN_REDIRECT_URL)
        with suppress(ValueError):  # the browser says where it is, and others may say anything
            back_to = htmx.current_url_abs_path or back_to
        return HttpResponseClientRedirect(redirect_to_login(back_to).url)


# What a browser could grant to a page, and no page of the panel has a use for.
NOT_NEEDED = ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")


def forbid_devices(get_response: GetResponse) -> GetResponse:
    """Sends a Permissions-Policy with every answer."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response["Permissions-Policy"] = ", ".join(f"{device}=()" for device in NOT_NEEDED)
        return response

    return answer


def forbid_keeping(get_response: GetResponse) -> GetResponse:
    """Tells browsers to keep no page for which the session was read: after signing out, the back
    button would show it again. Must come after the middleware of sessions."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if request.session.accessed:
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    return answer


def leave_out_body(get_response: GetResponse) -> GetResponse:
    """Answers HEAD with the headers of GET alone: gunicorn warns of whatever else it is given."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if request.method == "HEAD" and isinstance(response, HttpResponse):
            response.headers.setdefault("Content-Length", str(len(response.content)))
            response.content = b""
        return response

    return answer
