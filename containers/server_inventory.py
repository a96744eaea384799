"""Which of the images that systems are made of the image servers have."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby

from django.conf import settings

from containers.connect import image_server
from containers.drivers import DriverError
from containers.drivers.incus.catalogue import Catalogue
from containers.models import ServerImage
from containers.models.server_image import server_of

logger = logging.getLogger(__name__)


def keep(server: str, has: frozenset[str], problem: str = "") -> None:
    """Write down which of the wanted images a server has. With a `problem` it gave no answer, and
    what was known of them stays."""
    for image in ServerImage.objects.filter(name__startswith=f"{server}:"):
        is_there = image.is_there if problem else image.name in has
        if (is_there, problem) != (image.is_there, image.problem):
            ServerImage.objects.filter(pk=image.pk).update(is_there=is_there, problem=problem)


class ServerStocktaking:
    """Asks image servers in threads of its own what they have, and waits for none. A server from
    which nothing was ever wanted is left in peace."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="images")
        self._pending: dict[str, Future[frozenset[str]]] = {}
        self._catalogues: dict[str, Catalogue] = {}
        self._due: dict[str, float] = {}

    def begin_when_due(self) -> None:
        """Ask each server whose turn it is, or of which something new is wanted."""
        now = time.monotonic()
        wanted = ServerImage.objects.order_by("name")
        for server, images in groupby(wanted, lambda image: server_of(image.name)):
            is_new = any(image.is_new for image in images)
            if server in self._pending or not (is_new or now >= self._due.get(server, now)):
                continue
            self._due[server] = now + settings.TAKE_STOCK_EVERY
            self._pending[server] = self._pool.submit(self._ask, server)

    def keep_what_came(self) -> None:
        """Write down what servers have said by now. One that said nothing is asked in its turn."""
        for server in [name for name, future in self._pending.items() if future.done()]:
            try:
                keep(server, self._pending.pop(server).result())
            except DriverError as error:
                keep(server, frozenset(), problem=error.detail)
                logger.warning("image server %s: %s", server, error.detail)
            except Exception:  # one odd answer is not to cost the others theirs
                logger.exception("image server %s", server)

    def _ask(self, server: str) -> frozenset[str]:
        source = image_server(server)
        if source is None:
            return frozenset()
        catalogue = self._catalogues.setdefault(server, Catalogue(source))
        has = catalogue.aliases(timeout=settings.NODE_TIMEOUT)
        return frozenset(f"{server}:{alias}" for alias in has)
