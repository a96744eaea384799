"""Mail that nobody waits for: the time that an answer takes does not tell whether one was sent."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import BoundedSemaphore

logger = logging.getLogger(__name__)

# A mail server that hangs takes one of them after the other.
MAY_WAIT = 100
# A process that ends sends first what waits in it.
POST = ThreadPoolExecutor(1, thread_name_prefix="mail")
_room = BoundedSemaphore(MAY_WAIT)


def send_behind(send: Callable[[], None]) -> None:
    """Have a mail sent while the request goes on. One that fails, or finds too many before it, is
    told in the log alone: whoever wants it asks again."""
    if _room.acquire(blocking=False):
        POST.submit(copy_context().run, _send, send)
    else:
        logger.error("a mail was not sent: %s wait already", MAY_WAIT)


def _send(send: Callable[[], None]) -> None:
    try:
        send()
    except Exception as error:
        logger.error("a mail could not be sent: %r", error)
    finally:
        _room.release()
