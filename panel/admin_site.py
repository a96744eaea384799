"""The Django admin, without sign-in and password pages of its own."""

from __future__ import annotations

from typing import Any

from allauth.account.decorators import secure_admin_login
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_safe


@method_decorator([require_safe, secure_admin_login], name="login")
class PanelAdminSite(AdminSite):
    """Plans, orders and accounts. Who enters has signed in where everybody does: Django's own forms
    would count no failures when a password is asked for, and ask for no second factor."""

    site_title = site_header = "Berth"
    index_title = "Plans, orders and accounts"

    def password_change(  # type: ignore[override]  # Django's stubs want a template
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return redirect("account_change_password")
