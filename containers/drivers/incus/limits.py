"""Limits of what is read from a server, in time and in size, whatever it sends."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Any

import httpcore
import httpx

_limits = threading.local()


@contextmanager
def limited(seconds: float, size: float = inf) -> Iterator[None]:
    """Within the block, reading by this thread fails after so many seconds or bytes, if the client
    was given to `limit`. httpx's own time-out is for each piece alone, and so lets a server go on
    for ever. In a nested block the limits of the outer one hold as well."""
    outer = dict(vars(_limits))
    _limits.until = min(time.monotonic() + seconds, outer.get("until", inf))
    _limits.left = min(size, outer.get("left", inf))
    try:
        yield
    finally:
        vars(_limits).clear()
        vars(_limits).update(outer)


def limit(client: httpx.Client) -> None:
    """Have a client keep to the limits of `limited`. To be called before it is used."""
    # httpx has no public way to set the backend.
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx.HTTPTransport):
            transport._pool._network_backend = _Backend()


def refuse_compressed(client: httpx.Client) -> None:
    """Have a client refuse compressed answers: unpacked, a small one may be huge."""
    client.headers["Accept-Encoding"] = "identity"
    client.event_hooks = {"response": [_check_uncompressed]}


def _check_uncompressed(response: httpx.Response) -> None:
    if "Content-Encoding" in response.headers:
        raise httpx.RemoteProtocolError("a compressed answer, although nobody asked for it")


class _Backend(httpcore.SyncBackend):
    def connect_tcp(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        return _Stream(super().connect_tcp(*args, **kwargs))

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        return _Stream(super().connect_unix_socket(*args, **kwargs))


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if not hasattr(_limits, "until"):
            return self._stream.read(max_bytes, timeout)
        left = _limits.until - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        piece = self._stream.read(max_bytes, left if timeout is None else min(left, timeout))
        _limits.left -= len(piece)
        if _limits.left < 0:
            raise httpcore.ReadError("an answer without an end")
        return piece

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
