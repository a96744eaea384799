"""Switches the faults of a simulated node, and prints which are on."""

from __future__ import annotations

from argparse import BooleanOptionalAction
from dataclasses import fields, replace
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from containers.connect import simulated
from containers.drivers import DriverError
from containers.drivers.simulated import Faults
from containers.models import Node


class Command(BaseCommand):
    help = "Switch the faults of a simulated node. Without an option, only print them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("node", help="name of a simulated node")
        plug = parser.add_mutually_exclusive_group()
        plug.add_argument(
            "--unplug", dest="unplugged", action="store_true", default=None, help="no answer"
        )
        plug.add_argument(
            "--plug", dest="unplugged", action="store_false", default=None, help="answers again"
        )
        for option, meaning in (
            ("--hanging", "no answer, and only after the whole time-out"),
            ("--slow", "everything takes five times as long"),
            ("--failing", "refuses all work"),
            ("--full", "no room for another container or file"),
        ):
            parser.add_argument(option, action=BooleanOptionalAction, default=None, help=meaning)
        parser.add_argument("--none", action="store_true", help="first switch all of them off")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["node"]
        node = Node.objects.filter(name=name, kind=Node.Kind.SIMULATED).first()
        if node is None:
            raise CommandError(f"There is no simulated node {name!r}.")
        driver = simulated(node)
        switched = {
            field.name: options[field.name]
            for field in fields(Faults)
            if options[field.name] is not None
        }
        try:
            if switched or options["none"]:
                before = Faults() if options["none"] else driver.faults()
                driver.set_faults(replace(before, **switched))
            faults = driver.faults()
        except DriverError as error:
            raise CommandError(f"The faults of {name} cannot be reached: {error.detail}") from error
        on = [field.name for field in fields(Faults) if getattr(faults, field.name)]
        self.stdout.write(f"{name}: {', '.join(on) or 'no faults'}")
