"""What a container or a node uses: processor, memory, disk and network as charts over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from operator import attrgetter
from statistics import fmean
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.template.defaultfilters import filesizeformat, pluralize
from django.utils import timezone
from django.utils.formats import date_format
from django.views.decorators.http import require_safe

from containers import charts
from containers.models import Container, Node, Span, UsageSample
from containers.models.usage import begin
from containers.templatetags.spans import memory
from containers.views.detail import frame
from panel.http import Request

MIB, GIB = 1024**2, 1024**3
# A scale ends no lower, so that what is next to nothing looks like it.
LEAST_PERCENT, LEAST_RATE = 10.0, 1024.0


@dataclass(frozen=True)
class Period:
    """How far back a page looks: `count` buckets of one `step`, from samples of one `span`.

    `each` says in words how long a bucket is; `at` and the date format `moment` name one in a
    sentence ("at 11:40"). The axis is labelled in the date format `tick`, wherever `group` changes
    from one bucket to the next.
    """

    label: str
    span: Span
    step: timedelta
    each: str
    count: int
    at: str
    moment: str
    tick: str
    group: Callable[[datetime], object]

    def buckets(self, now: datetime) -> list[datetime]:
        """When each begins; `now` is in the last."""
        last = begin(now, self.step)
        return [last - self.step * back for back in reversed(range(self.count))]


PERIODS = {
    "day": Period(
        label="Day",
        span=Span.MINUTE,
        step=timedelta(minutes=10),
        each="ten minutes",
        count=144,
        at="at",
        moment="H:i",
        tick="H:i",
        group=lambda at: (at.date(), at.hour // 4),
    ),
    "month": Period(
        label="Month",
        span=Span.HOUR,
        step=timedelta(hours=4),
        each="four hours",
        count=186,
        at="on",
        moment="j M, H:i",
        tick="j M",
        group=lambda at: at.isocalendar()[:2],
    ),
    "years": Period(
        label="Two years",
        span=Span.DAY,
        step=timedelta(days=7),
        each="seven days",
        count=104,
        at="in the week of",
        moment="j M Y",
        tick="M Y",
        group=lambda at: (at.year, at.month > 6),
    ),
}


@dataclass(frozen=True)
class Curve:
    """One line of a chart: its paths, and what it comes to in words."""

    name: str
    line: str
    area: str
    latest: str
    latest_at: str
    average: str
    peak: str
    peak_at: str


@dataclass(frozen=True)
class Chart:
    """`scale` has the labels of the top, the middle and the bottom; `axis` labels, each with its
    place in percent from the left.
    `rows` are the buckets that have values: which it is, when it began, the values in words.
    Without rows there is nothing to draw."""

    title: str
    of: str
    curves: list[Curve]
    scale: list[str]
    axis: list[tuple[float, str]]
    rows: list[tuple[int, str, list[str]]]


@require_safe
def container(request: Request, pk: int) -> HttpResponse:
    found = get_object_or_404(Container.objects.visible_to(request.user), pk=pk)
    context = _context(request, found)
    if request.htmx:
        return render(request, "containers/_usage.html", context)
    context |= frame(request, found, tab="usage")
    return render(request, "containers/usage.html", context)


@require_safe
def node(request: Request, pk: int) -> HttpResponse:
    found = get_object_or_404(Node.objects.visible_to(request.user), pk=pk)
    context = _context(request, found)
    if request.htmx:
        return render(request, "containers/_usage.html", context)
    context |= {"section": "nodes", "node": found}
    return render(request, "containers/nodes/usage.html", context)


def _context(request: Request, subject: Container | Node) -> dict[str, Any]:
    chosen = request.GET.get("span", "")
    chosen = chosen if chosen in PERIODS else "day"
    return {
        "periods": PERIODS.items(),
        "chosen": chosen,
        "period": PERIODS[chosen],
        "charts": charts_of(subject, PERIODS[chosen], timezone.now()),
    }


def charts_of(subject: Container | Node, period: Period, now: datetime) -> list[Chart]:
    """Processor, memory, disk and network, in one query; no charts where nothing was measured
    in that time."""
    buckets = period.buckets(now)
    samples = list(subject.usage.filter(span=period.span, at__gte=buckets[0]).order_by("at"))
    if not samples:
        return []

    def values(of: Callable[[UsageSample], float | None]) -> charts.Values:
        weighed = ((sample.at, sample.minutes, of(sample)) for sample in samples)
        return charts.averages(weighed, buckets[0], period.step, period.count)

    cores = max(subject.cpus, 1)
    cpu = values(lambda sample: 100 * sample.cpu / cores)
    used, stored, received, sent = (
        values(attrgetter(name)) for name in ("memory_bytes", "disk_bytes", "received", "sent")
    )
    of_cores, of_memory = f"of {cores} core{pluralize(cores)}", f"of {memory(subject.memory_mb)}"
    draw = partial(_chart, period, [timezone.localtime(at) for at in buckets])
    return [
        draw("Processor", of_cores, {"": cpu}, _percent, LEAST_PERCENT, charts.ROUND),
        draw("Memory", of_memory, {"": used}, _size, subject.memory_mb * MIB),
        draw("Disk", f"of {subject.disk_gb} GB", {"": stored}, _size, subject.disk_gb * GIB),
        draw("Network", "in and out", {"In": received, "Out": sent}, _rate, LEAST_RATE,
             charts.ROUND_BYTES),
    ]  # fmt: skip


def _chart(
    period: Period,
    begins: Sequence[datetime],
    title: str,
    of: str,
    curves: dict[str, charts.Values],
    words: Callable[[float], str],
    least: float,
    tops: Sequence[float] = (),
) -> Chart:
    """The scale ends at `least` where that is enough for all values; else at one of the `tops`, or
    at the highest value itself."""

    def when(bucket: int) -> str:
        return date_format(begins[bucket], period.moment)

    top = charts.top_of(chain(*curves.values()), tops, least)
    together = enumerate(zip(*curves.values(), strict=True))
    rows = [
        (bucket, when(bucket), [words(value) for value in values])
        for bucket, values in together
        if None not in values
    ]
    drawn = curves.items() if rows else []
    return Chart(
        title=title,
        of=of,
        curves=[_curve(name, values, top, words, when) for name, values in drawn],
        scale=[words(top), words(top / 2), "0"],
        axis=[
            (round(100 * bucket / period.count, 2), date_format(begins[bucket], period.tick))
            for bucket in range(1, period.count)
            if period.group(begins[bucket]) != period.group(begins[bucket - 1])
        ],
        rows=rows,
    )


def _curve(
    name: str,
    values: charts.Values,
    top: float,
    words: Callable[[float], str],
    when: Callable[[int], str],
) -> Curve:
    known = [(bucket, value) for bucket, value in enumerate(values) if value is not None]
    latest, peak = known[-1], max(known, key=lambda each: each[1])
    return Curve(
        name=name,
        line=charts.line(values, top),
        area=charts.area(values, top),
        latest=words(latest[1]),
        latest_at=when(latest[0]),
        average=words(fmean(value for _, value in known)),
        peak=words(peak[1]),
        peak_at=when(peak[0]),
    )


def _percent(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") + " %"


def _size(value: float) -> str:
    number, unit = filesizeformat(value).split()
    return f"{number.removesuffix('.0')} {unit}"


def _rate(value: float) -> str:
    return f"{_size(value)}/s"
