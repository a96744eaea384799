"""Adds an Incus server, or the members of a cluster, as nodes."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from containers import registration
from containers.drivers import DriverError
from containers.registration import CannotAdd


class Command(BaseCommand):
    help = "Add an Incus server, or all on-line members of its cluster, as nodes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "where", help="a join token, or the path of a local socket (/var/lib/incus/unix.socket)"
        )
        parser.add_argument("--name", help="of the node; without it, what the server calls itself")
        parser.add_argument("--member", help="only this member of a cluster")
        parser.add_argument("--project", default="berth", help="the project that the panel owns")
        parser.add_argument("--pool", default="default", help="where disks are made")

    def handle(self, *args: Any, **options: Any) -> None:
        pool, member = options["pool"], options["member"]
        try:
            server = registration.reach(options["where"], project=options["project"])
            found = [
                offer
                for offer in registration.offers(server, pool=pool)
                if member in {None, offer.member}
            ]
            left_out = [
                f"{offer.name}: {offer.problem or f'it is node {offer.known_as} already'}"
                for offer in found
                if offer.problem or offer.known_as
            ]
            new = [offer for offer in found if not (offer.problem or offer.known_as)]
            if not new:
                raise CommandError("\n".join(["There is nothing to add.", *left_out]))
            self.stderr.write("".join(f"Left out: {line}\n" for line in left_out), ending="")
            if options["name"] and len(new) > 1:
                raise CommandError("--name goes with one node: choose it with --member.")
            chosen = [(options["name"] or offer.name, offer.member) for offer in new]
            nodes = registration.add(server, pool=pool, chosen=chosen)
        except CannotAdd as reason:
            raise CommandError("\n".join(reason.sentences)) from reason
        except DriverError as error:
            raise CommandError(f"{error.sentence} ({error.detail})") from error
        for node in nodes:
            self.stdout.write(
                f"{node.name}: {node.version}, {node.cpus} cores, {node.memory_mb} MiB of memory, "
                f"{node.disk_gb} GiB of disk, {node.images.count()} images"
            )
