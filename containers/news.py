"""Events that nodes send by themselves: a node that sends one is looked at at once.

An event only brings the next look forward. What no event told of, as the connection was broken or
the node sends none, is seen by the regular look.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from functools import cached_property
from queue import SimpleQueue

from containers.connect import incus
from containers.drivers import DriverError
from containers.drivers.incus import IncusDriver
from containers.drivers.incus.news import events
from containers.models import Node

logger = logging.getLogger(__name__)


class Listener:
    """Listens to every node that sends events, to all of them in one thread. Where a connection
    breaks, the next `attend` opens another."""

    def __init__(self) -> None:
        self._listening: dict[int, Future[None]] = {}
        self._heard: SimpleQueue[int] = SimpleQueue()

    def attend(self, nodes: Iterable[Node]) -> None:
        """Listen to those of these nodes that are on-line and send events."""
        for node in nodes:
            listening = self._listening.get(node.pk)
            tells = node.kind == Node.Kind.INCUS and node.online
            if not tells or (listening and not listening.done()):
                continue
            self._listening[node.pk] = asyncio.run_coroutine_threadsafe(
                self._listen(node.pk, incus(node)), self._loop
            )

    def heard(self) -> set[int]:
        """The keys of the nodes on which something has happened since this was asked last."""
        return {self._heard.get_nowait() for _ in range(self._heard.qsize())}

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """Made for the first node that sends events; runs as long as the process."""
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, name="news", daemon=True).start()
        return loop

    async def _listen(self, key: int, driver: IncusDriver) -> None:
        try:
            async for member in events(driver.server):
                if member in {"", driver.member}:
                    self._heard.put(key)
        except DriverError as error:
            logger.info("no news from %s: %s", driver.label, error.detail)
        except Exception:
            logger.exception("no news from %s", driver.label)
