"""A form field for a person, and the forms of accounts in the Django admin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import (
    AdminPasswordChangeForm,
    AdminUserCreationForm,
    UserChangeForm,
)
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.db.models.functions import Trim

from panel.accounts import is_anothers
from panel.models import User

# Django speaks of other ways to sign in here, of which there are none.
ITS_OWNER_CHOOSES = (
    "Disabled: whoever it is for chooses one, by “Forgot your password?” on the sign-in page."
)


class PersonField(forms.ModelChoiceField):
    """Somebody who can sign in: by user name, e-mail address, or the whole name that pages show."""

    def __init__(self, **options: Any) -> None:
        usual: dict[str, Any] = {
            "to_field_name": "username",
            "help_text": "User name, e-mail address or whole name of whoever it is for.",
            "widget": forms.TextInput({"autocapitalize": "none"}),
        }
        super().__init__(User.objects.filter(is_active=True), **usual | options)
        self.error_messages["required"] = "Say whose it is."

    def to_python(self, value: Any) -> User | None:
        name = str(value or "").strip()
        if not name:
            return None
        # Trimmed here alone: a search finds the same people without, and reads everybody's name.
        people = User.objects.with_whole_name().alias(shown=Trim("whole_name"))
        people = people.filter(is_active=True)
        meant = list(people.filter(username=name)) or list(
            people.filter(Q(email__iexact=name) | Q(shown__iexact=name))[:2]
        )
        if not meant:
            raise ValidationError("Nobody of this name can sign in.", code="invalid_choice")
        if len(meant) > 1:
            raise ValidationError("Several people are called so: type the user name.", code="vague")
        return meant[0]


class KnownForm(forms.ModelForm):
    """An account, which no other one shares its user name and address with."""

    def clean(self) -> dict[str, Any] | None:
        for name in {"username", "email"}.intersection(self.changed_data):
            typed = self.cleaned_data.get(name)
            if typed and is_anothers(typed, self.instance):
                self.add_error(name, "Another account is known by this already.")
        return super().clean()


class AccountForm(KnownForm, UserChangeForm):
    """An account, as staff change it."""


class NewAccountForm(KnownForm, AdminUserCreationForm):
    """An account, as staff make it."""

    usable_password = AdminUserCreationForm.create_usable_password_field(
        f"{ITS_OWNER_CHOOSES} The link goes to the e-mail address below."
    )


class PasswordForm(AdminPasswordChangeForm):
    """The password of an account, as staff change it."""

    usable_password_help_text = f"{ITS_OWNER_CHOOSES} The one of now is lost."
