"""What came of a soak, as a table to read: printed, and kept as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from django.conf import settings
from django.db.models import Max

from containers.models import Operation, StatusChange
from containers.statuses import TRANSIENT
from tests.soak.audit import Findings
from tests.soak.chaos import Chaos
from tests.soak.people import Experience

# Seconds for which those who were cut off may still meet an error after something is back.
AFTERMATH = 2.0


@dataclass
class Report:
    """The figures. `is_good`: nothing lost, nothing twice, nothing stuck."""

    seed: int
    seconds: float
    findings: Findings
    chaos: Chaos
    experience: Experience
    settled_after: float

    @property
    def is_good(self) -> bool:
        return not self.findings

    def rows(self) -> list[tuple[str, str]]:
        operations = Operation.objects.all()
        by_outcome = Counter(operations.values_list("outcome", flat=True))
        by_kind = Counter(operations.values_list("kind", flat=True))
        attempts = operations.aggregate(most=Max("attempts"))["most"]
        longest, where = longest_transient()
        takeups = self.chaos.takeups
        pages = self.experience.pages
        slowest = max(pages, default=(0.0, "none"))
        lease = settings.LEASE.total_seconds()
        return [
            ("seed, length", f"{self.seed}, {self.seconds:.0f} s"),
            ("operations", f"{operations.count()}: {_counted(by_kind)}"),
            ("their outcomes", _counted(by_outcome)),
            ("faults injected", f"{sum(self.chaos.injected.values())}: "
             f"{_counted(self.chaos.injected)}"),
            ("of these SIGKILL", str(self.chaos.kills)),
            ("lost", str(len(self.findings.lost))),
            ("duplicated", str(len(self.findings.duplicated))),
            ("stuck", str(len(self.findings.stuck))),
            (f"taken up after a kill, nothing else broken (lease {lease:g} s)",
             _times(takeups.undisturbed)),
            ("taken up after a kill, other things broken meanwhile", _times(takeups.disturbed)),
            ("most attempts", str(attempts)),
            ("longest in a transient status", f"{longest:.1f} s ({where})"),
            ("settled after the last fault", f"{self.settled_after:.1f} s"),
            ("pages", f"{len(pages)}: {_times([took for took, _ in pages])}; "
             f"slowest {slowest[0]:.2f} s ({slowest[1]})"),
            ("errors while web or database were gone", _counted(self._errors(explained=True))),
            ("errors while both were there", _counted(self._errors(explained=False))),
        ]  # fmt: skip

    def _errors(self, *, explained: bool) -> Counter[str]:
        """What people ran into, inside or outside of an outage of what serves them."""
        outages = [
            (began, ended + AFTERMATH)
            for on, began, ended in self.chaos.outages
            if on in {"web", "database"}
        ]
        return Counter(
            kind
            for moment, kind in self.experience.errors
            if any(began - AFTERMATH <= moment <= ended for began, ended in outages) is explained
        )

    def markdown(self) -> str:
        lines = ["| | |", "|---|---|"]
        lines += [f"| {name} | {value} |" for name, value in self.rows()]
        for name in ("lost", "duplicated", "stuck"):
            found = getattr(self.findings, name)
            lines += ["", f"{name}:", *(f"- {sentence}" for sentence in found)] if found else []
        return "\n".join([*lines, ""])


def longest_transient() -> tuple[float, str]:
    """The longest time, in seconds, that a container stayed in one transient status."""
    longest, where = timedelta(), "none"
    before: StatusChange | None = None
    for change in StatusChange.objects.order_by("container_id", "pk").iterator():
        same = before is not None and before.container_id == change.container_id
        if before and same and before.to_status in TRANSIENT and change.at - before.at > longest:
            longest = change.at - before.at
            where = f"{before.to_status}, container {before.container_id}"
        before = change
    return longest.total_seconds(), where


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {what or 'open'}" for what, count in counter.most_common()) or "none"


def _times(seconds: Iterable[float]) -> str:
    times: Sequence[float] = sorted(seconds)
    if not times:
        return "none"
    return f"{len(times)} times, median {median(times):.2f} s, longest {times[-1]:.2f} s"
