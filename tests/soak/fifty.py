"""Fifty stopped containers on a node where everything takes long, and people to look after them."""

from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "panel.settings")
django.setup()

from containers.statuses import Status  # noqa: E402
from tests.cast import ContainerFactory, NodeFactory, PlanFactory, UserFactory, set_pace  # noqa: E402

FIFTY = 50
PACE = 6.0

if __name__ == "__main__":
    UserFactory.create(username="admin", is_administrator=True)
    PlanFactory.create()
    node = NodeFactory.create(name="slow", memory_mb=10**6, disk_gb=10**5)
    lena = UserFactory.create(username="lena")
    for _ in range(FIFTY):
        ContainerFactory.create(customer=lena, node=node, status=Status.STOPPED)
    set_pace(node, PACE)
