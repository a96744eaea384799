"""Fills an empty panel with people, plans, nodes and containers to look at."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from panel import demo
from panel.models import User


class Command(BaseCommand):
    help = "Set up the demo. The database must be empty."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--if-empty", action="store_true", help="Do nothing where somebody has an account."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if User.objects.exists():
            if options["if_empty"]:
                return
            raise CommandError(
                "This panel has accounts already. The demo is made only in an empty one: "
                "set BERTH_DATA to a new folder."
            )
        demo.make()
        self.stdout.write(demo.WELCOME)
