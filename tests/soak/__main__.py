"""Soak a panel in faults: exit status 1 where anything was lost, done twice, or got stuck."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

import django

from tests.incus_node import daemons, free_port
from tests.soak.database import Database


def main() -> int:
    options = arguments()
    folder = Path(tempfile.mkdtemp(prefix="berth-soak-"))
    database = Database()
    try:
        database.start()
        port = free_port()
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "panel.settings",
            "BERTH_DATA": str(folder),
            "BERTH_PORT": str(port),
            "BERTH_URL": f"http://127.0.0.1:{port}",
            "BERTH_DATABASE_URL": database.url,
            "BERTH_QUEUE_URL": database.url,
            # So that what takes minutes in earnest happens within the time there is.
            "BERTH_STOP_PATIENCE": "4",
            "BERTH_STOP_LIMIT": "40",
            "BERTH_CREATE_PAUSES": "1,2,4,8,8,8,8,8",
            "BERTH_ROOM_PAUSE": "4",
            "BERTH_TAKE_STOCK_EVERY": "10",
        }
        # Only now: the settings are read from the environment.
        django.setup()
        from tests.soak.run import soak

        with daemons(2) as made:
            report = soak(
                folder, port, database, made,
                seed=options.seed, seconds=options.seconds, clients=options.clients,
                pause=options.pause,
            )  # fmt: skip
            markdown = report.markdown()
    finally:
        database.destroy()
    options.report.write_text(markdown)
    sys.stdout.write(f"{markdown}\nKept in {options.report}; the logs are in {folder}\n")
    if report.is_good:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if report.is_good else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--minutes", type=float, default=10.0, help="of chaos")
    parser.add_argument("--short", action="store_true", help="a minute, as in CI")
    parser.add_argument("--clients", type=int, default=12, help="customers who click")
    parser.add_argument("--pause", type=float, default=2.2, help="seconds between two faults")
    parser.add_argument("--report", type=Path, default=Path("soak.md"))
    options = parser.parse_args()
    options.seconds = options.minutes * 60
    if options.short:
        options.seconds, options.clients, options.pause = 20.0, 8, 1.0
    return options


if __name__ == "__main__":
    sys.exit(main())
