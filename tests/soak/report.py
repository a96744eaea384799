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
        why = Counter(operations.exclude(error="").values_list("error", flat=True))
        attempts = operations.aggregate(most=Max("attempts"))["most"]
        longest, where = longest_transient()
        takeups = self.chaos.takeups
        lease = settings.LEASE.total_seconds()
        return [
            ("seed, length", f"{self.seed}, {self.seconds:.0f} s"),
            ("operations", f"{operations.count()}: {_counted(by_kind)}"),
            ("their outcomes", _counted(by_outcome)),
            ("why some failed", _counted(why, most=5)),
            ("faults injected", f"{sum(self.chaos.injected.values())}: "
             f"{_counted(self.chaos.injected)}"),
            ("of these SIGKILL", str(self.chaos.kills)),
            ("processes that ended by themselves", _counted(self.chaos.fallen)),
            ("lost", str(len(self.findings.lost))),
            ("duplicated", str(len(self.findings.duplicated))),
            ("stuck", str(len(self.findings.stuck))),
            (f"taken up after a kill, nothing else broken (lease {lease:g} s)",
             _times(takeups.undisturbed)),
            ("taken up after a kill, other things broken meanwhile", _times(takeups.disturbed)),
            ("most attempts", str(attempts)),
            ("longest in a transient status", f"{longest:.1f} s ({where})"),
            ("settled after the last fault", f"{self.settled_after:.1f} s"),
            ("pages while web and database were there", self._pages(gone=False)),
            ("pages while one of them was gone or came back", self._pages(gone=True)),
            ("errors while web and database were there", self._errors(gone=False)),
            ("errors while one of them was gone", self._errors(gone=True)),
        ]  # fmt: skip

    def _pages(self, *, gone: bool) -> str:
        pages = [(took, what) for at, took, what in self.experience.pages
                 if self._was_gone(at - took, at) is gone]  # fmt: skip
        return f"{_times(took for took, _ in pages)} ({max(pages, default=(0, 'none'))[1]})"

    def _errors(self, *, gone: bool) -> str:
        errors = self.experience.errors
        return _counted(Counter(kind for at, kind in errors if self._was_gone(at, at) is gone))

    def _was_gone(self, since: float, until: float) -> bool:
        """Whether what serves people was not there at some time in between."""
        return any(
            began - AFTERMATH <= until and since <= ended + AFTERMATH
            for on, began, ended in self.chaos.outages
            if on in {"web", "database"}
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


def _counted(counter: Counter[str], most: int | None = None) -> str:
    counted = [f"{count} {what or 'open'}" for what, count in counter.most_common(most)]
    return ", ".join(counted) or "none"


def _times(seconds: Iterable[float]) -> str:
    times: Sequence[float] = sorted(seconds)
    if not times:
        return "none"
    return f"{len(times)} times, median {median(times):.2f} s, longest {times[-1]:.2f} s"
