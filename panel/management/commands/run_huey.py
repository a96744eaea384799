"""The worker's process: Huey's own, on a database whose work may be carried out."""

from __future__ import annotations

from typing import Any

from django.db import connections
from huey.contrib.djhuey.management.commands import run_huey

from containers.rejoining import wait_for_database


class Command(run_huey.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        wait_for_database()
        connections.close_all()
        super().handle(*args, **options)
