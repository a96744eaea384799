"""Puts on simulated nodes what each past of the demo ends in: instance, work under way, files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from io import BytesIO

from containers.connect import simulated, spec_of
from containers.drivers import Power
from containers.drivers.simulated import SimulatedDriver
from containers.models import FileChange
from containers.statuses import Status
from panel.demo.story import REPAIRS_SINCE, Story

# How many times as long as usual the work under way takes, so that it can be looked at for some
# minutes: creating 4, booting 2, migrating 5, destroying 3.
SHOWN_FOR = {"create": 40, "start": 60, "migrate": 60, "destroy": 120}
# What is done in a repair: a path, and what is made of the file there.
EDITS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("/etc/nginx/nginx.conf", lambda old: old.replace(b"connections 768", b"connections 2048")),
    ("/etc/resolv.conf", lambda old: b"nameserver 1.1.1.1\n" + old),
]


def put_on_node(story: Story) -> None:
    """Make the node report what the story says. It must have been told, and written."""
    container, under_way = story.container, story.open
    if container.node is None:
        return
    driver = simulated(container.node)
    driver.seed(
        spec_of(container),
        _power(story),
        pace=SHOWN_FOR.get(under_way.kind) if under_way else None,
        stubborn=container.status == Status.STOPPING,
    )
    seen = driver.instance(container.instance_name)
    if seen is not None:
        container.address = seen.address
        container.save(update_fields=["address"])
    if container.status == Status.REPAIRING:
        _edit(story, driver)


def _power(story: Story) -> Power:
    if story.container.status == Status.CREATING:
        return Power.BUSY
    rests = story.open.was if story.open else story.rested
    return Power.RUNNING if rests == Status.RUNNING else Power.STOPPED


def _edit(story: Story, driver: SimulatedDriver) -> None:
    at = story.container.status_since
    for path, edited in EDITS:
        at += REPAIRS_SINCE / (len(EDITS) + 1) - timedelta(seconds=40)
        name = story.container.instance_name
        content = edited(b"".join(driver.read_file(name, path)))
        FileChange.objects.create(
            container=story.container,
            at=at,
            by=story.customer,
            did="edited",
            path=path,
            size=driver.write_file(name, path, BytesIO(content)).size,
        )
