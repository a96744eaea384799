"""The group "Staff" is there after every migrate, with what staff may do and nothing more."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command

pytestmark = pytest.mark.django_db


def may() -> set[str]:
    group = Group.objects.get(name="Staff")
    return {
        f"{permission.content_type.app_label}.{permission.codename}"
        for permission in group.permissions.select_related("content_type")
    }


def test_staff_may_look_after_what_is_sold_and_to_whom() -> None:
    assert {"orders.change_plan", "orders.change_order", "panel.add_user"} <= may()


def test_staff_may_look_at_containers_and_nodes_and_change_none() -> None:
    assert {permission for permission in may() if permission.startswith("containers.")} == {
        "containers.view_container",
        "containers.view_filechange",
        "containers.view_node",
        "containers.view_operation",
        "containers.view_statuschange",
    }


def test_staff_may_delete_nothing_and_hand_out_no_rights() -> None:
    assert not {permission for permission in may() if ".delete_" in permission}
    assert not {permission for permission in may() if permission.startswith("auth.")}


def test_what_was_taken_away_is_back_after_the_next_migrate() -> None:
    before = may()
    Group.objects.all().delete()
    call_command("migrate", verbosity=0)
    assert may() == before
