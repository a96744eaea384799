"""Nobody sees a page without signing in; a signed-out poll goes to the sign-in page whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest
from django.http.response import HttpResponseRedirectBase
from django.shortcuts import resolve_url
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails


class SignInMiddleware(LoginRequiredMiddleware):
    """Django's own, but for htmx: a redirect would put the sign-in page into a table."""

    def handle_no_permission(  # type: ignore[override]  # htmx wants its own kind of redirect
        self, request: HttpRequest, view_func: Callable[..., Any]
    ) -> HttpResponseRedirectBase:
        htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]
        if not htmx:
            return super().handle_no_permission(request, view_func)
        back_to = htmx.current_url_abs_path or resolve_url(settings.LOGIN_REDIRECT_URL)
        return HttpResponseClientRedirect(redirect_to_login(back_to).url)
