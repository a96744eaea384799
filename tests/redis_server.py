"""A Redis server of a test's own, on loopback, that keeps nothing."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.incus_node import free_port, wait_until


@contextmanager
def redis_server(folder: Path) -> Iterator[int]:
    """Its port. Skips the test where Redis is not installed."""
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is not installed")
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as server:
        try:
            wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
            yield port
        finally:
            server.terminate()
