"""The nodes, for administrators: whether they answer, what room they have, who lives on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import wraps
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from containers import operations, strays
from containers.connect import simulated
from containers.differences import counts_on, differences_on
from containers.drivers import DriverError
from containers.drivers.simulated import Faults
from containers.forms import FaultsForm
from containers.models import Container, Node, Operation, ServerImage
from containers.paging import ROWS_PER_PAGE
from containers.placement import that_fit
from containers.room import with_room
from containers.statuses import Status
from containers.templatetags.spans import memory
from containers.views.act import AT_ONCE
from containers.views.polling import digest, poll_seconds
from containers.views.rows import as_shown, with_buttons
from panel.http import Request, dialog

# Parts of a node's room above which its meter turns amber, and red.
TIGHT, FULL = 0.75, 0.9

View = Callable[[Request], HttpResponse]


@dataclass(frozen=True)
class Room:
    """How much of one thing a node has, and how much of it is promised to containers."""

    label: str
    promised: int
    total: int
    text: str
    left: str
    bounded: bool = True

    @property
    def max(self) -> int:
        return max(self.total, 1)

    @property
    def low(self) -> float:
        return self.max * TIGHT if self.bounded else self.max

    @property
    def high(self) -> float:
        return self.max * FULL if self.bounded else self.max


def administrators_only(view: View) -> View:
    """Makes a view a 404 for everybody else. A view of one node does not need this: it begins with
    `visible_to`."""

    @wraps(view)
    def answer(request: Request) -> HttpResponse:
        if not request.user.administers:
            raise Http404
        return view(request)

    return answer


@require_safe
@administrators_only
def nodes(request: Request) -> HttpResponse:
    page = Paginator(Node.objects.visible_to(request.user), ROWS_PER_PAGE).get_page(
        request.GET.get("page")
    )
    found = with_room(page.object_list)
    differing = counts_on(found)
    seen = digest([(_fingerprint(node), differing[node.pk]) for node in found])
    if request.htmx and request.GET.get("seen") == seen:
        return HttpResponse(status=204)
    under_way = Operation.objects.visible_to(request.user).open()
    context = {
        "section": "nodes",
        "page_obj": page,
        "rows": [(node, _rooms(node), differing[node.pk]) for node in found],
        "seen": seen,
        "poll_seconds": poll_seconds(
            any(_is_wavering(node) for node in found) or under_way.exists()
        ),
    }
    template = "containers/nodes/_list.html" if request.htmx else "containers/nodes/list.html"
    return render(request, template, context)


@require_safe
def node(request: Request, pk: int) -> HttpResponse:
    [found] = with_room([get_object_or_404(Node.objects.visible_to(request.user), pk=pk)])
    here = _living_on(found, request)
    page = Paginator(as_shown(here), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    rows = list(page.object_list)
    arriving = Operation.objects.visible_to(request.user).open().filter(target=found)
    arriving = arriving.select_related("container__node")
    faults = _faults(found)
    differences = differences_on(found)
    differing = Paginator(differences, ROWS_PER_PAGE).get_page(request.GET.get("differences"))
    images = [image.name for image in found.images.all()]
    seen = digest(
        _fingerprint(found),
        [(each.number, each.by_hand, each.text, each.actions) for each in differences],
        images,
        [(image.name, image.state) for image in ServerImage.objects.all()],
        [(row.pk, row.revision) for row in rows],
        [(operation.pk, operation.container.revision) for operation in arriving],
        faults,
    )
    if request.htmx and request.GET.get("seen") == seen:
        return HttpResponse(status=204)
    context = {
        "section": "nodes",
        "node": found,
        "rooms": _rooms(found),
        "page_obj": page,
        "rows": rows,
        "arriving": arriving,
        "differences": differing,
        "differences_query": f"page={page.number}&",
        "most": strays.MOST if sum(each.is_here for each in differences) >= strays.MOST else None,
        "images": images,
        "faults": FaultsForm(initial=asdict(faults)) if faults else None,
        "query": f"differences={differing.number}&",
        "seen": seen,
        "poll_seconds": poll_seconds(
            _is_wavering(found) or bool(arriving) or any(row.is_transient for row in rows)
        ),
    }
    template = "containers/nodes/_node.html" if request.htmx else "containers/nodes/node.html"
    return render(request, template, context)


@require_POST
def service(request: Request, pk: int) -> HttpResponse:
    found = get_object_or_404(Node.objects.visible_to(request.user), pk=pk)
    _put_in_service(found, on="on" in request.POST)
    takes = "takes new containers again" if "on" in request.POST else "takes no new containers now"
    messages.success(request, f"{found.name} {takes}.")
    return redirect(found)


@require_http_methods(["GET", "HEAD", "POST"])
def move(request: Request, pk: int) -> HttpResponse:
    found = get_object_or_404(Node.objects.visible_to(request.user), pk=pk)
    rows = with_buttons(as_shown(_living_on(found, request)), request.user)
    able = [row for row in rows if _can_move(row)]
    moving = able[:AT_ONCE]
    context: dict[str, Any] = {"section": "nodes", "node": found, "later": len(able) - len(moving)}
    if request.method != "POST":
        taking = Node.objects.visible_to(request.user).taking_containers()
        elsewhere = with_room(taking.filter(kind=found.kind).exclude(pk=pk))
        fitting = that_fit(moving, elsewhere)
        context |= {
            "able": fitting,
            "without_room": len(moving) - len(fitting),
            "unable": [row for row in rows if not _can_move(row)],
            "movable": [Status(value).label for value in Container.sources_of("migrate")],
        }
        return render(request, "containers/nodes/move.html", context)
    if "out" in request.POST:
        _put_in_service(found, on=False)
    context["results"] = [
        (row, operations.refusal(row.pk, "migrate", by=request.user)) for row in moving
    ]
    context["next"] = found.get_absolute_url()
    return dialog(request, "containers/_results.html", f"Moving from {found.name}", context)


@require_POST
def faults(request: Request, pk: int) -> HttpResponse:
    simulated_nodes = Node.objects.visible_to(request.user).filter(kind=Node.Kind.SIMULATED)
    found = get_object_or_404(simulated_nodes, pk=pk)
    form = FaultsForm(request.POST)
    if form.is_valid():
        try:
            simulated(found).set_faults(Faults(**form.cleaned_data))
        except DriverError as error:
            messages.error(request, f"The faults of {found.name} cannot be set: {error.detail}.")
        else:
            messages.success(request, f"The faults of {found.name} are set.")
    return redirect(found)


def _living_on(node: Node, request: Request) -> QuerySet[Container]:
    visible = Container.objects.visible_to(request.user)
    return visible.living().filter(node=node).order_by("name", "pk")


def _can_move(row: Container) -> bool:
    return any(button.name == "migrate" for button in row.buttons)


def _put_in_service(node: Node, *, on: bool) -> None:
    Node.objects.filter(pk=node.pk).update(in_service=on)


def _faults(node: Node) -> Faults | None:
    """None where a node has none to switch, or cannot be asked."""
    if not node.is_simulated:
        return None
    try:
        return simulated(node).faults()
    except DriverError:
        return None


def _rooms(node: Node) -> list[Room]:
    """The room of a node that was read `with_room`."""
    return [
        Room(
            "Memory",
            node.memory_promised,
            node.memory_mb,
            f"{memory(node.memory_promised)} of {memory(node.memory_mb)}",
            f"{memory(max(node.memory_left, 0))} left",
        ),
        Room(
            "Disk",
            node.disk_promised,
            node.disk_gb,
            f"{node.disk_promised} of {node.disk_gb} GB",
            f"{max(node.disk_left, 0)} GB left",
        ),
        Room(
            "Processor",
            node.cpus_promised,
            node.cpus,
            f"{node.cpus_promised} of {node.cpus} cores",
            "shared among all",
            bounded=False,
        ),
    ]


def _fingerprint(node: Node) -> tuple[object, ...]:
    """The parts of a node that a page shows."""
    promised = node.cpus_promised, node.memory_promised, node.disk_promised
    has = node.cpus, node.memory_mb, node.disk_gb, node.version, node.containers_here
    return node.pk, node.online, node.misses > 0, node.problem, node.in_service, promised, has


def _is_wavering(node: Node) -> bool:
    """Whether it has missed a look, and will be off-line if it misses more."""
    return node.online and node.misses > 0
