"""What the group "Staff" may do in the Django admin; it is there after every `migrate`."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission

GROUP = "Staff"

# By app: the models, and what may be done to them. Plans and accounts are looked after, what
# was sold and what runs is looked at; acting on it goes by the tables of transitions.
MAY: dict[str, dict[str, tuple[str, ...]]] = {
    "panel": {"user": ("view", "add", "change")},
    "orders": {
        "plan": ("view", "add", "change"),
        "system": ("view", "add", "change"),
        "order": ("view", "change"),
        "orderchange": ("view",),
        "payment": ("view", "change"),
    },
    "containers": {
        "container": ("view",),
        "node": ("view",),
        "operation": ("view",),
        "statuschange": ("view",),
        "filechange": ("view",),
    },
}


def make_group(app_config: AppConfig, using: str, **_: Any) -> None:
    """Give the group what it may do with the models of one app. Receives `post_migrate`."""
    models = MAY.get(app_config.label)
    if models is None:
        return
    # Django makes them at the same signal, but after us.
    create_permissions(app_config, verbosity=0, using=using)
    codenames = [f"{action}_{model}" for model, actions in models.items() for action in actions]
    group, _created = Group.objects.using(using).get_or_create(name=GROUP)
    group.permissions.add(
        *Permission.objects.using(using).filter(
            content_type__app_label=app_config.label, codename__in=codenames
        )
    )
