"""What happens to instances, told by the server as it happens."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.client import connect, unix_connect
from websockets.exceptions import WebSocketException

from containers.drivers import Unreachable

from .client import Server

# Seconds between signs of life from a server with nothing to tell.
_PING = 5.0
# Seconds for a connection to be made: nobody waits for it, and many may be begun at once.
_OPENING = 30.0


async def events(server: Server) -> AsyncIterator[str]:
    """Where something happens to an instance in the panel's project: the member, "" outside of a
    cluster. "" comes first: what happens from then on is told, what happened before is not, so look
    at the node then.

    Never ends by itself; raises Unreachable when the connection breaks, or when the server
    shows no sign of life for twice 5 s.
    """
    try:
        async with _connection(server) as connection:
            yield ""
            while True:
                member = _member(json.loads(await connection.recv()))
                if member is not None:
                    yield member
    except (OSError, WebSocketException) as failure:
        raise Unreachable(f"{server.address}: {failure or repr(failure)}") from failure


def _connection(server: Server) -> connect:
    path = f"/1.0/events?type=lifecycle&project={server.project}"
    times: dict[str, Any] = {
        "open_timeout": _OPENING,
        "ping_interval": _PING,
        "ping_timeout": _PING,
        "close_timeout": 1,
    }
    if server.is_local:
        return unix_connect(server.address, f"ws://incus{path}", **times)
    address = server.address.replace("https", "wss", 1)
    return connect(f"{address}{path}", ssl=server.tls(), proxy=None, **times)


def _member(told: dict[str, object]) -> str | None:
    """Where it was; None for what is not about an instance."""
    about = told.get("metadata")
    if not isinstance(about, dict) or not str(about.get("action")).startswith("instance-"):
        return None
    member = str(told.get("location", ""))
    return "" if member == "none" else member
