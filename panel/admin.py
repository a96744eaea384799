"""People in the Django admin."""

from __future__ import annotations

from typing import Any, ClassVar

from allauth.account.models import EmailAddress
from allauth.mfa.admin import AuthenticatorAdmin
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from panel.admin_lists import BoundedAdmin
from panel.forms import AccountForm, NewAccountForm, PasswordForm
from panel.models import User


@admin.register(User)
class PeopleAdmin(BoundedAdmin, UserAdmin):
    """Accounts. Whoever has bought something is deactivated, never deleted."""

    form = AccountForm
    add_form = NewAccountForm
    change_password_form = PasswordForm
    list_display = [
        "username", "first_name", "last_name", "email", "role", "is_active", "last_login"
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

    @admin.display
    def role(self, person: User) -> str:
        return person.role_label

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        """Only a superuser hands out rights: staff could otherwise give them to themselves."""
        fixed = list(super().get_readonly_fields(request, obj))
        if not request.user.is_superuser:
            fixed += ["is_administrator", "is_staff", "is_superuser", "groups"]
        return fixed

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Without the password, and the button beside it, where it cannot be changed."""
        all_of_them = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return all_of_them
        return [(None, {"fields": ["username"]}), *all_of_them[1:]]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Staff look after customers; those with rights are a superuser's business."""
        people = super().get_queryset(request)
        if request.user.is_superuser:
            return people
        return people.filter(is_superuser=False, is_administrator=False, is_staff=False)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> User | None:
        """Those with rights too, to be looked at: orders lead to customers who were given some."""
        found: User | None = super().get_object(request, object_id, from_field)
        if found is None and object_id.isdecimal():
            found = User.objects.filter(pk=object_id).first()
        return found

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Nobody but a superuser changes those with rights, their passwords least of all."""
        has_rights = obj and (obj.is_superuser or obj.is_administrator or obj.is_staff)
        if has_rights and not request.user.is_superuser:
            return False
        return bool(super().has_change_permission(request, obj))

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
class SecondFactorAdmin(BoundedAdmin, AuthenticatorAdmin):
    """For whoever has lost telephone and codes: without the row, the password alone lets in. Codes
    go with the app that they stand in for: they would still open once another is set up."""

    fields: ClassVar[tuple[str, ...]] = ("user", "type", "created_at", "last_used_at")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Authenticator | None = None) -> bool:
        return False

    def delete_model(self, request: HttpRequest, obj: Authenticator) -> None:
        super().delete_model(request, obj)
        _delete_codes_alone([obj.user_id])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Authenticator]) -> None:
        people = list(queryset.values_list("user", flat=True))
        super().delete_queryset(request, queryset)
        _delete_codes_alone(people)


def _delete_codes_alone(people: list[int]) -> None:
    """Delete the recovery codes of those among these people who have no other second factor left.
    `people` are their keys."""
    others = Authenticator.objects.exclude(type=Authenticator.Type.RECOVERY_CODES)
    alone = Authenticator.objects.filter(user__in=people).exclude(user__in=others.values("user"))
    alone.delete()
