"""Mail sent in a thread: how long a request takes does not show whether it sent a mail."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import BoundedSemaphore

logger = logging.getLogger(__name__)

# How many mails may wait for a mail server that hangs.
MAY_WAIT = 100
# When a process ends, it first sends what waits.
POST = ThreadPoolExecutor(1, thread_name_prefix="mail")
_room = BoundedSemaphore(MAY_WAIT)


def send_behind(send: Callable[[], None]) -> None:
    """Send a mail while the request goes on. If that fails, or too many are waiting, only the log
    says so: whoever wants the mail asks again."""
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
