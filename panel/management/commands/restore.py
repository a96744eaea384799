"""Puts a back-up back, migrates it to this release, and makes it safe to go on with."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from tarfile import TarError
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import Error

from containers.rejoining import rejoin
from orders.models import Order, Payment
from panel import backup
from panel.models import Session
from panel.outage import outage


class Command(BaseCommand):
    help = "Restore what `backup` has written. No other process of the panel may run meanwhile."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--force", action="store_true", help="throw away what is stored here already"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            backup.restore(options["file"], Order, Payment, force=options["force"])
        except backup.CannotRestore as reason:
            raise CommandError(str(reason)) from reason
        except TarError as error:
            raise CommandError(f"{options['file']} is damaged: {error}") from error
        except (OSError, Error) as error:
            raise CommandError(outage(error) or str(error)) from error
        ContentType.objects.clear_cache()
        call_command("migrate", verbosity=0, interactive=False)
        # Who has signed out since would be signed in again.
        Session.objects.all().delete()
        rejoin(Order, Payment)
        self.stdout.write(
            "Restored. Start the panel: within seconds the watcher has asked every node, and "
            "each node's page shows what differs."
        )
