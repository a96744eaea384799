"""What nodes tell by themselves: whoever hears of something looks at the node at once.

News only hurry the next look on. What was missed, in a break of the connection or by a node
that tells nothing, is seen by the regular one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from queue import Empty, SimpleQueue

from containers.connect import incus
from containers.drivers import DriverError
from containers.drivers.incus import IncusDriver
from containers.drivers.incus.news import events
from containers.models import Node

logger = logging.getLogger(__name__)

# Seconds that a listener sleeps where nothing happens; a connection that breaks wakes it.
QUIET = 3600.0


class Listener:
    """Listens to every node that tells, each in a thread of its own that dies with its
    connection and is begun again by the next `attend`."""

    def __init__(self) -> None:
        self._threads: dict[int, threading.Thread] = {}
        self._heard: SimpleQueue[int] = SimpleQueue()

    def attend(self, nodes: Iterable[Node]) -> None:
        """Listen to those of these nodes that are on-line and can tell."""
        for node in nodes:
            thread = self._threads.get(node.pk)
            if node.is_simulated or not node.online or (thread and thread.is_alive()):
                continue
            thread = threading.Thread(
                target=self._listen, args=[node.pk, incus(node)], name=f"news {node.name}"
            )
            thread.daemon = True
            self._threads[node.pk] = thread
            thread.start()

    def heard(self) -> set[int]:
        """The keys of the nodes on which something has happened since this was asked last."""
        keys: set[int] = set()
        while True:
            try:
                keys.add(self._heard.get_nowait())
            except Empty:
                return keys

    def _listen(self, key: int, driver: IncusDriver) -> None:
        listening = False
        try:
            for event in events(driver.server, patience=QUIET):
                # What happened before anybody listened is told by nobody: look once.
                if not listening or (event and event.member in {"", driver.member}):
                    self._heard.put(key)
                listening = True
        except DriverError as error:
            logger.info("no news from %s: %s", driver.label, error.detail)
