"""What happens to instances, told by the server as it happens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect, unix_connect

from containers.drivers import Unreachable

from .client import Server

_PING = 5.0  # seconds between signs of life from a server with nothing to tell


@dataclass(frozen=True)
class Event:
    """`what` in Incus' words: created, started, stopped, shutdown, updated, deleted, …;
    `member` is where, in a cluster."""

    name: str
    what: str
    member: str
    at: datetime


def events(server: Server, *, patience: float = 1.0) -> Iterator[Event | None]:
    """What happens in the panel's project from now on; None first, once everything that
    follows will be told, and None again after `patience` seconds without news.

    What happens while nobody listens is not told later: look at the node after each first
    None. Never ends by itself; raises Unreachable when the connection breaks, or when the
    server shows no sign of life for twice 5 s.
    """
    try:
        with _connection(server) as connection:
            yield None
            while True:
                try:
                    event = _event(json.loads(connection.recv(timeout=patience)))
                except TimeoutError:
                    yield None
                else:
                    if event:
                        yield event
    except (OSError, WebSocketException) as failure:
        raise Unreachable(f"{server.address}: {failure or repr(failure)}") from failure


def _connection(server: Server) -> AbstractContextManager[ClientConnection]:
    path = f"/1.0/events?type=lifecycle&project={server.project}"
    if server.is_local:
        return unix_connect(
            server.address,
            f"ws://incus{path}",
            open_timeout=server.timeout,
            ping_interval=_PING,
            ping_timeout=_PING,
            close_timeout=1,
        )
    return connect(
        f"{server.address.replace('https', 'wss', 1)}{path}",
        ssl=server.tls(),
        proxy=None,
        open_timeout=server.timeout,
        ping_interval=_PING,
        ping_timeout=_PING,
        close_timeout=1,
    )


def _event(told: dict[str, object]) -> Event | None:
    """None for what is not about an instance."""
    about = told.get("metadata")
    if not isinstance(about, dict) or not str(about.get("action")).startswith("instance-"):
        return None
    # A file that was read, a log that was deleted: those have longer words.
    what = str(about["action"]).removeprefix("instance-")
    name = str(about["source"]).partition("?")[0].split("/")[3]
    member = str(told.get("location", ""))
    return Event(
        name,
        what,
        "" if member == "none" else member,
        datetime.fromisoformat(str(told["timestamp"])),
    )
