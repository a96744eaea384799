"""Fills an empty panel with people, plans, nodes and containers to look at."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from panel import demo


class Command(BaseCommand):
    help = "Set up the demo. Nothing must be stored yet."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--if-empty", action="store_true", help="do nothing where a demo cannot be made"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            demo.make()
        except demo.NotHere as reason:
            if options["if_empty"]:
                return
            raise CommandError(str(reason)) from reason
        self.stdout.write(demo.WELCOME)
