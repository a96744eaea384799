"""Many Incus servers for next to nothing: one process that answers what a watcher asks.

    python -m tests.bench.engine.servers IDENTITY PORT COUNT HANGING CONTAINERS STATUS

Server number N listens at `address(N, PORT)`, over TLS with the certificate in the file
IDENTITY; the last HANGING of them take every question and answer none. On each there are
CONTAINERS instances, all of which are "Stopped" or "Running". Only for figures: that the driver
understands real servers is tested on real servers.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import resource
import ssl
import sys
import time
from typing import Any

from containers.drivers.incus.instances import ID, STATE, WHOLE

_ACCEPT = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def address(number: int, port: int) -> str:
    return f"https://127.0.{1 + number // 250}.{1 + number % 250}:{port}"


def first_id(number: int, containers: int) -> int:
    """The id of the first container on a server; the others follow."""
    return number * containers + 1


def instance(pk: int, status: str) -> dict[str, Any]:
    """As long as Incus' own description of a small container."""
    volatile = {f"volatile.{n}": hashlib.sha256(f"{pk}{n}".encode()).hexdigest() for n in range(12)}
    config = {ID: str(pk), STATE: WHOLE, "limits.cpu": "1", "limits.memory": "1024MiB", **volatile}
    return {
        "name": f"ct-{pk}",
        "status": status,
        "location": "none",
        "last_used_at": "2026-01-01T00:00:00Z",
        "config": config,
        "devices": {"root": {"path": "/", "pool": "default", "type": "disk", "size": "20GiB"}},
        "expanded_config": config,
        "expanded_devices": {"eth0": {"type": "nic", "name": "eth0", "network": "incusbr0"}},
    }


def state(pk: int) -> dict[str, Any]:
    """What one that runs uses, and where it is to be reached."""
    address = {
        "family": "inet",
        "scope": "global",
        "address": f"10.{pk >> 16}.{pk >> 8 & 255}.{pk & 255}",
    }
    card = {"addresses": [address], "counters": {"bytes_received": 10**6, "bytes_sent": 10**5}}
    return {
        "pid": 1000 + pk,
        "cpu": {"usage": time.time_ns() // 100},
        "memory": {"usage": 2**27},
        "disk": {"root": {"usage": 2**30}},
        "network": {"eth0": card, "lo": card},
    }


_RESOURCES = {"cpu": {"total": 16}, "memory": {"total": 2**36, "used": 2**33}}
_SPACE = {"space": {"total": 2**40, "used": 2**36}}


def answers(number: int, containers: int, status: str) -> dict[str, bytes]:
    """What a server says, by path."""
    first = first_id(number, containers)
    here = [instance(pk, status) for pk in range(first, first + containers)]
    alone = {
        f"/1.0/instances/{one['name']}": one | {"state": state(int(one["name"][3:]))}
        for one in here
    }
    told: dict[str, Any] = {
        "/1.0": {"auth": "trusted", "environment": {"server_version": "6.0"}},
        "/1.0/instances": here,
        "/1.0/resources": _RESOURCES,
        "/1.0/storage-pools/default/resources": _SPACE,
        "/1.0/images": [],
        **(alone if status == "Running" else {}),
    }
    return {path: _response({"type": "sync", "metadata": said}) for path, said in told.items()}


def _response(said: dict[str, Any]) -> bytes:
    body = json.dumps(said).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


async def serve(
    identity: str, port: int, count: int, hanging: int, containers: int, status: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity)
    for number in range(count):
        told = {} if number >= count - hanging else answers(number, containers, status)

        async def talk(
            heard: asyncio.StreamReader, said: asyncio.StreamWriter, told: dict[str, bytes] = told
        ) -> None:
            try:
                await _talk(heard, said, told)
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                said.close()

        host = address(number, port).removeprefix("https://").partition(":")[0]
        await asyncio.start_server(talk, host, port, ssl=context, backlog=64)
    print("ready", flush=True)  # noqa: T201
    await asyncio.Event().wait()


async def _talk(
    heard: asyncio.StreamReader, said: asyncio.StreamWriter, told: dict[str, bytes]
) -> None:
    while True:
        head = (await heard.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ", 2)[1].partition("?")[0]
        if not told:
            await asyncio.sleep(3600)
        elif path == "/1.0/events":
            await _ping_pong(heard, said, head)
        else:
            said.write(told[path])
            await said.drain()


async def _ping_pong(heard: asyncio.StreamReader, said: asyncio.StreamWriter, head: str) -> None:
    """A websocket on which nothing is told, but each sign of life is returned."""
    lines = (line.partition(": ") for line in head.splitlines())
    key = next(value for name, _, value in lines if name.lower() == "sec-websocket-key")
    accept = base64.b64encode(hashlib.sha1((key + _ACCEPT).encode()).digest()).decode()
    said.write(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
    )
    while True:
        frame = await heard.readexactly(6)
        payload = await heard.readexactly(frame[1] & 0x7F)
        said.write(
            bytes([0x8A, len(payload)])
            + bytes(byte ^ frame[2 + n % 4] for n, byte in enumerate(payload))
        )


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    identity, *sizes, status = sys.argv[1:]
    port, count, hanging, containers = map(int, sizes)
    asyncio.run(serve(identity, port, count, hanging, containers, status))
