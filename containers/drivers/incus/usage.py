"""What a node and its containers use, as Incus tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from containers.drivers import Usage

from .instances import IncusInstance


def of_instance(found: IncusInstance) -> Usage | None:
    """None where it does not run, or cannot tell just now."""
    state = found.raw.get("state")
    if not state or not state["pid"] or not state["network"]:
        return None
    # What could not be read stands as -1 or 0.
    if state["cpu"]["usage"] <= 0 or state["memory"]["usage"] < 0:
        return None
    root = (state["disk"] or {}).get("root")  # a pool of kind `dir` cannot tell
    # Only the cards that the node gave it: what passes between those that were made inside never
    # leaves the container.
    cards = [card for name, card in state["network"].items() if name in found.cards]
    return Usage(
        cpu_seconds=state["cpu"]["usage"] / 1e9,
        memory_bytes=state["memory"]["usage"],
        disk_bytes=root["usage"] if root else None,
        received_bytes=sum(card["counters"]["bytes_received"] for card in cards),
        sent_bytes=sum(card["counters"]["bytes_sent"] for card in cards),
    )


def of_node(resources: Mapping[str, Any], space: Mapping[str, Any]) -> Usage:
    """From what a node has, and the room in its pool."""
    return Usage(
        cpu_seconds=None,
        memory_bytes=resources["memory"]["used"],
        disk_bytes=space["used"],
        received_bytes=None,
        sent_bytes=None,
    )
