"""Incus at work in the background: found again by the instance it is for, and followed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from containers.drivers import DriverError, NoImageServer, Progress, Refused, Unreachable

from .client import Client
from .errors import error

_RUNNING, _SUCCESS = range(100, 200), 200

# Seconds without a sign of life after which an image server is given up: Incus waits for ever
# for one that takes connections and says nothing.
SILENCE = 60
FETCHING = "Fetching the system"


class Doing(StrEnum):
    """What Incus calls its operations."""

    CREATE = "Creating instance"
    START = "Starting instance"
    STOP = "Stopping instance"
    DELETE = "Deleting instance"
    MOVE = "Migrating instance"


@dataclass(frozen=True)
class IncusOperation:
    """One that is under way. One that `waits` does nothing until another server calls."""

    id: str
    doing: str
    waits: bool


def under_way(client: Client, name: str, member: str | None = None) -> list[IncusOperation]:
    """What the server is doing with an instance; in a cluster, that member alone."""
    by_status: dict[str, list[dict[str, Any]]] = client.get("/1.0/operations", recursion=1)
    found = []
    for operation in [each for group in by_status.values() for each in group]:
        urls = (operation.get("resources") or {}).get("instances") or []
        names = {url.partition("?")[0].rpartition("/")[2] for url in urls}
        is_here = member in (None, operation["location"])
        if is_here and name in names and operation["status_code"] in _RUNNING:
            waits = operation["class"] == "websocket"
            found.append(IncusOperation(operation["id"], operation["description"], waits))
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
            raise _failure(state)
        yield _progress(state.get("metadata"), step)


def follow_creation(client: Client, operation: str, step: str) -> Iterator[Progress]:
    """The same for an instance that is being created, and may have to be fetched first. Raises
    NoImageServer as well where nothing has come for `SILENCE` seconds; Incus may still wait."""
    last, moved = None, time.monotonic()
    for progress in follow(client, operation, step):
        unpacking = progress.percent is not None and progress.step != FETCHING
        if progress != last or unpacking:
            last, moved = progress, time.monotonic()
        elif time.monotonic() - moved > SILENCE:
            raise NoImageServer(f"nothing has come for {SILENCE} s")
        yield progress


def cancel(client: Client, operation: str) -> None:
    """Give up an operation that waits for another server, unless it has ended by now."""
    with suppress(Refused):
        client.change("DELETE", f"/1.0/operations/{operation}")


def _wait(client: Client, operation: str) -> dict[str, Any] | None:
    """The state of an operation as soon as it has ended, or after a second; None where the server
    does not know it any more."""
    try:
        ended: dict[str, Any] = client.get(f"/1.0/operations/{operation}/wait", timeout=1)
        return ended
    except Unreachable:
        raise
    except DriverError:
        # It failed, or goes on, or is forgotten: this answer does not tell which.
        known: dict[str, Any] | None = client.find(f"/1.0/operations/{operation}")
        return known


def _failure(state: Mapping[str, Any]) -> DriverError:
    """The error that an operation ended with. While an image is fetched, an error that Incus has no
    words of its own for comes from the image server, not from the node."""
    meant = error(state["err"] or state["status"])
    if type(meant) in (Refused, Unreachable) and _fetching(state.get("metadata") or {}):
        return NoImageServer(meant.detail)
    return meant


def _fetching(metadata: Mapping[str, Any]) -> bool:
    """Incus leaves the progress of the download where it was when it goes on to unpack."""
    return "download_progress" in metadata and "progress" not in metadata


def _progress(metadata: Mapping[str, Any] | None, step: str) -> Progress:
    told = metadata or {}
    if _fetching(told):
        # Such as "rootfs: 12% (3.40MB/s)".
        percent = re.search(r"(\d+)%", told["download_progress"])
        return Progress(int(percent[1]) if percent else None, FETCHING)
    if copied := re.search(r"([\d.]+\w+) \(", told.get("fs_progress", "")):
        # Such as "berth_ct-5: 1.09GB (29.96MB/s)".
        return Progress(None, step, copied=copied[1])
    unpacked = str((told.get("progress") or {}).get("percent", ""))
    return Progress(min(100, int(unpacked)) if unpacked.isdigit() else None, step)
