"""Who is meant, as people type it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.db.models.functions import Trim

from panel.models import User


class PersonField(forms.ModelChoiceField):
    """Somebody who can sign in: by user name, e-mail address, or the whole name that pages show."""

    def __init__(self, **options: Any) -> None:
        usual: dict[str, Any] = {
            "to_field_name": "username",
            "help_text": "User name, e-mail address or whole name of whoever it is for.",
            "widget": forms.TextInput({"autocomplete": "off", "autocapitalize": "none"}),
        }
        super().__init__(User.objects.filter(is_active=True), **usual | options)
        self.error_messages["required"] = "Say whose it is."

    def to_python(self, value: Any) -> User | None:
        name = str(value or "").strip()
        if not name:
            return None
        # The search does without: it would trim everybody's name and find the same people.
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
