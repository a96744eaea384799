"""People in the Django admin."""

from __future__ import annotations

from allauth.account.decorators import secure_admin_login
from allauth.account.models import EmailAddress
from allauth.mfa.admin import AuthenticatorAdmin
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.views.decorators.http import require_safe

from panel.models import User

admin.site.site_title = admin.site.site_header = "Berth"
admin.site.index_title = "Plans, orders and accounts"
# One door for everybody: Django's own would count no failures and ask for no second factor.
admin.site.login = require_safe(secure_admin_login(admin.site.login))  # type: ignore[method-assign]


@admin.register(User)
class PeopleAdmin(UserAdmin):
    """Accounts. Whoever has bought something is deactivated, never deleted."""

    list_display = [
        "username", "first_name", "last_name", "email", "role_label", "is_active", "last_login"
    ]  # fmt: skip
    list_filter = ["is_administrator", "is_staff", "is_active", "groups"]
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        ("Person", {"fields": ["first_name", "last_name", "email"]}),
        (
            "May",
            {"fields": ["is_active", "is_administrator", "is_staff", "is_superuser", "groups"]},
        ),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [
        (None, {"fields": ["username", "usable_password", "password1", "password2"]}),
        ("Person", {"fields": ["first_name", "last_name", "email"]}),
    ]
    readonly_fields = ["last_login", "date_joined"]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        """Only a superuser hands out rights: staff could otherwise give them to themselves."""
        fixed = list(super().get_readonly_fields(request, obj))
        if not request.user.is_superuser:
            fixed += ["is_administrator", "is_staff", "is_superuser", "groups"]
        return fixed

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Staff look after customers; those with rights are a superuser's business."""
        people = super().get_queryset(request)
        if request.user.is_superuser:
            return people
        return people.filter(is_superuser=False, is_administrator=False, is_staff=False)

    def save_model(self, request: HttpRequest, obj: User, form: ModelForm, change: bool) -> None:
        """An address that was replaced lets nobody in any more: a new password is sent to every
        address that allauth knows of."""
        super().save_model(request, obj, form, change)
        if change and "email" in form.changed_data:
            EmailAddress.objects.filter(user=obj).delete()

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False


# The library's own page would show the secrets.
admin.site.unregister(Authenticator)


@admin.register(Authenticator)
class SecondFactorAdmin(AuthenticatorAdmin):
    """For whoever has lost telephone and codes: without the row, the password alone lets in."""

    fields = ["user", "type", "created_at", "last_used_at"]
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Authenticator | None = None) -> bool:
        return False
