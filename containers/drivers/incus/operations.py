"""Incus at work in the background: found again by the instance it is for, and followed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from containers.drivers import DriverError, Progress, Refused, Unreachable

from .client import Client
from .errors import error

_RUNNING, _SUCCESS = range(100, 200), 200


class Doing(StrEnum):
    """What Incus calls its operations."""

    CREATE = "Creating instance"
    START = "Starting instance"
    STOP = "Stopping instance"
    DELETE = "Deleting instance"
    MOVE = "Migrating instance"


@dataclass(frozen=True)
class Operation:
    """One that is under way. One that `waits` does nothing until another server calls."""

    id: str
    doing: str
    waits: bool


def under_way(client: Client, name: str) -> list[Operation]:
    """What the server is doing with an instance."""
    by_status: dict[str, list[dict[str, Any]]] = client.get("/1.0/operations", recursion=1)
    found = []
    for operation in [each for group in by_status.values() for each in group]:
        urls = (operation.get("resources") or {}).get("instances") or []
        names = {url.partition("?")[0].rpartition("/")[2] for url in urls}
        if name in names and operation["status_code"] in _RUNNING:
            waits = operation["class"] == "websocket"
            found.append(Operation(operation["id"], operation["description"], waits))
    return found


def follow(client: Client, operation: str, step: str) -> Iterator[Progress]:
    """Yield at once, and then every second until the operation has ended.

    An operation that the server does not know, because it ended a while ago or the server was
    started anew, counts as ended: look at the instance. Raises the error that it ended with.
    """
    yield Progress(None, step)
    while state := _wait(client, operation):
        if state["status_code"] == _SUCCESS:
            return
        if state["status_code"] not in _RUNNING:
            raise error(state["err"] or state["status"])
        yield _progress(state.get("metadata"), step)


def cancel(client: Client, operation: str) -> None:
    """Give up an operation that waits for another server, unless it has ended by now."""
    with suppress(Refused):
        client.change("DELETE", f"/1.0/operations/{operation}")


def _wait(client: Client, operation: str) -> dict[str, Any] | None:
    """Its state once it has ended, or in a second."""
    try:
        ended: dict[str, Any] = client.get(f"/1.0/operations/{operation}/wait", timeout=1)
        return ended
    except Unreachable:
        raise
    except DriverError:
        # It failed, or goes on, or is forgotten: this answer does not tell which.
        known: dict[str, Any] | None = client.find(f"/1.0/operations/{operation}")
        return known


def _progress(metadata: Mapping[str, Any] | None, step: str) -> Progress:
    detail = (metadata or {}).get("progress") or {}
    percent = str(detail.get("percent", ""))
    if "download" in str(detail.get("stage", "")):
        step = "Fetching the system"
    return Progress(min(100, int(percent)) if percent.isdigit() else None, step)
