"""Makes a back-up: one file with everything that the panel knows."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from panel import backup


class Command(BaseCommand):
    help = "Write database and keys into one file, while everything runs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            backup.write(options["file"].absolute())
        except CalledProcessError as error:
            raise CommandError(error.stderr) from error
        except OSError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{options['file']}: keep it safe, whoever has it has the panel's keys.")
