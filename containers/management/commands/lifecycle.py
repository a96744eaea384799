"""Draws the life of a container from its transitions, as a graph for Graphviz."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand

from containers.models import Container
from containers.statuses import TRANSIENT, Status


class Command(BaseCommand):
    help = "Print the life of a container as a graph: lifecycle | dot -Tsvg > docs/lifecycle.svg"

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write("\n".join(graph()))


def arrows() -> Iterator[tuple[str, str, str, str]]:
    """Every arrow of the table: from, to, its words, and who makes it (people or world)."""
    for arrow in Container.transitions():
        label = arrow.custom.get("label", "")
        words = label or arrow.name.replace("_", " ")
        for target in getattr(arrow.target, "allowed_states", [arrow.target]):
            yield arrow.source, target, words, "people" if label else "world"


def graph() -> Iterator[str]:
    """The lines of a graph in the DOT language. Off-line, which everything leads to and from,
    is drawn once, apart."""
    yield "digraph lifecycle {"
    yield '  bgcolor="white"; rankdir=LR; nodesep=0.35; ranksep=0.7;'
    yield '  node [shape=box, style="rounded,filled", fontname="Helvetica", fillcolor="#f4f6f8",'
    yield '        color="#5a6878", fontsize=13];'
    yield '  edge [fontname="Helvetica", fontsize=10, color="#5a6878", fontcolor="#5a6878"];'
    for status in Status:
        look = ' fillcolor="#fff3dd", color="#9a5b00"' if status in TRANSIENT else ""
        yield f'  {status.value} [label="{status.label}"{look}];'
    merged: dict[tuple[str, str, str], list[str]] = {}
    for source, target, words, by in arrows():
        if Status.OFFLINE not in {source, target}:
            merged.setdefault((source, target, by), []).append(words)
    for (source, target, by), labels in merged.items():
        look = ', color="#0f6b78", fontcolor="#0f6b78", penwidth=1.6' if by == "people" else ""
        yield f'  {source} -> {target} [label="{" / ".join(dict.fromkeys(labels))}"{look}];'
    yield '  anything [label="any status\\non a node", style="rounded,dashed"];'
    yield f'  anything -> {Status.OFFLINE.value} [label="node lost"];'
    yield f'  {Status.OFFLINE.value} -> anything [label="what the node reports"];'
    yield "}"
