"""What each node has: room, version, the images that containers can be created from, and what was
begun there and never finished."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from containers import strays
from containers.connect import connect
from containers.drivers import DriverError, Resources
from containers.models import Node, NodeImage
from containers.models.server_image import server_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inventory:
    """What a node said that it has, asked when it `began`."""

    began: datetime
    resources: Resources
    images: frozenset[str]
    unfinished: dict[str, bool]


def ask(node: Node) -> Inventory:
    """Ask a node; writes nothing down. Raises DriverError."""
    began, driver = timezone.now(), connect(node)
    # A colon always means an image server: an alias of the node's own that has one is left out.
    images = frozenset(name for name in driver.images() if not server_of(name))
    return Inventory(began, driver.resources(), images, driver.unfinished())


def learn(node: Node) -> None:
    """Ask a node what it has, and keep all of it: for one that is new here, or was enlarged.

    What an administrator has written down for its room is replaced. Raises DriverError.
    """
    keep_all(node, ask(node))


def keep_all(node: Node, found: Inventory) -> None:
    """Write down all that a node has, its room too, in its row and in `node`."""
    has = found.resources
    room = {"cpus": has.cpus, "memory_mb": has.memory_mb, "disk_gb": has.disk_gb}
    Node.objects.filter(pk=node.pk).update(**room)
    keep(node, found)
    node.refresh_from_db(fields=[*room, "version"])


def keep(node: Node, found: Inventory) -> None:
    """Write down the version and the images of a node and what is unfinished there, where they
    differ. Its room stays what an administrator has made of it."""
    strays.note_unfinished(node, found.unfinished, began=found.began)
    if node.version != found.resources.version:
        Node.objects.filter(pk=node.pk).update(version=found.resources.version)
    known = set(node.images.values_list("name", flat=True))
    if known == found.images:
        return
    with transaction.atomic():
        node.images.filter(name__in=known - found.images).delete()
        new = [NodeImage(node=node, name=name) for name in sorted(found.images - known)]
        NodeImage.objects.bulk_create(new, ignore_conflicts=True)


class Stocktaking:
    """Asks nodes what they have, in threads of its own, and waits for none."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=32, thread_name_prefix="stock")
        self._pending: dict[Future[Inventory], Node] = {}
        self._due: dict[int, float] = {}

    def begin_when_due(self, node: Node) -> None:
        """Ask a node that was never asked, that is back, or whose turn it is again."""
        now = time.monotonic()
        if not node.online:
            self._due.pop(node.pk, None)
        elif now >= self._due.get(node.pk, now) and node not in self._pending.values():
            self._due[node.pk] = now + settings.TAKE_STOCK_EVERY
            self._pending[self._pool.submit(ask, node)] = node

    def keep_what_came(self) -> None:
        """Write down what nodes have said by now. One that said nothing is asked in its turn."""
        for future in [future for future in self._pending if future.done()]:
            node = self._pending.pop(future)
            try:
                keep(node, future.result())
            except DriverError as error:
                logger.warning("node %s does not say what it has: %s", node.name, error.detail)
            except Exception:  # one odd answer is not to cost the others theirs
                logger.exception("what node %s has", node.name)
