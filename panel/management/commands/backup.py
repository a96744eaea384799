"""Makes a back-up: one file with everything that the panel knows."""

from __future__ import annotations

import signal
import sys
from argparse import ArgumentParser
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error

from panel import backup
from panel.outage import outage


class Command(BaseCommand):
    help = "Write database and keys into one file, while everything runs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        # Or else half of the database would be left lying about.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
        try:
            backup.write(options["file"].absolute())
        except CalledProcessError as error:
            raise CommandError(error.stderr) from error
        except (OSError, Error) as error:
            raise CommandError(outage(error) or str(error)) from error
        self.stdout.write(f"{options['file']}: keep it safe, whoever has it has the panel's keys.")
