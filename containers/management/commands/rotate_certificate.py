"""Gives the panel a new key and certificate at every Incus server that it knows."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from containers import registration
from containers.drivers import DriverError


class Command(BaseCommand):
    help = "Replace the panel's certificate at every Incus server. Repeat it if it fails."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            told = registration.rotate()
        except DriverError as error:
            raise CommandError(
                f"{error.sentence} ({error.detail}) The old certificate stays in use: repeat this "
                "as soon as all servers answer."
            ) from error
        self.stdout.write(f"The panel has a new certificate at {', '.join(told) or 'no server'}.")
