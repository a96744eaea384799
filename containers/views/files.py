"""Repair: the folders and files of a container, looked at and downloaded."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_safe

from containers.drivers import MAX_LISTED, FileInfo, FileKind
from containers.models import Container
from containers.repair import paths
from containers.repair.downloads import Download
from containers.repair.files import (
    Changed,
    Closed,
    FileProblem,
    Files,
    NotThere,
    NotYours,
    TooFast,
    Unanswered,
)
from containers.views import detail
from panel.http import Request

ENTRIES_PER_PAGE = 200

_TYPES = {
    FileKind.FILE: stat.S_IFREG,
    FileKind.FOLDER: stat.S_IFDIR,
    FileKind.LINK: stat.S_IFLNK,
}

View = Callable[[Request, Container, str], HttpResponseBase]


@dataclass(frozen=True)
class Crumb:
    """A folder or file as a page names it and an address bears it."""

    name: str
    query: str

    @classmethod
    def to(cls, path: str) -> Crumb:
        return cls(paths.shown(paths.name_of(path)), paths.quoted(path))


@dataclass(frozen=True)
class Row:
    """One line of a folder."""

    info: FileInfo
    crumb: Crumb
    mode: str
    target: str
    marked: bool


def about_files(view: View) -> Callable[[Request, int], HttpResponseBase]:
    """A view that is given the container, and the path that the address asks for. Its FileProblems
    become a page that says what is the matter."""

    @wraps(view)
    def answer(request: Request, pk: int) -> HttpResponseBase:
        visible = Container.objects.visible_to(request.user)
        path = paths.asked(request.META.get("QUERY_STRING", ""))
        try:
            return view(request, get_object_or_404(visible, pk=pk), path)
        except FileProblem as problem:
            # Read again: its status may have changed meanwhile.
            return _refusal(request, get_object_or_404(visible, pk=pk), path, problem)

    return answer


@require_safe
@about_files
def browse(request: Request, container: Container, path: str) -> HttpResponseBase:
    files = Files(container, request.user)
    try:
        entries = files.list(path)
    except NotThere:
        # A link in a folder is followed here, whatever it leads to.
        if files.info(path).kind != FileKind.FILE:
            raise
        return redirect(address("file_edit", container, path))
    marked = request.GET.get("at", "")
    rows = [_row(path, entry, marked) for entry in entries]
    pages = Paginator(rows, ENTRIES_PER_PAGE)
    at = next((n for n, row in enumerate(rows) if row.marked), 0)
    number = request.GET.get("page", at // ENTRIES_PER_PAGE + 1)
    context = {
        "page_obj": pages.get_page(number),
        "most_listed": f"{MAX_LISTED:,}" if len(entries) >= MAX_LISTED else None,
        "query": f"path={paths.quoted(path)}&",
        "file_changes": container.file_changes.select_related("by")[:8],
    }
    return page(request, container, "browse.html", path, context)


@require_GET
@never_cache
@about_files
def download(request: Request, container: Container, path: str) -> HttpResponseBase:
    files = Files(container, request.user)
    info = files.info(path)
    name = paths.shown(paths.name_of(path))
    headers = {
        "Content-Length": str(info.size),
        "Content-Disposition": content_disposition_header(True, name) or "attachment",
    }
    # Never shown in the browser, whatever it holds: it would be a page of this panel.
    return StreamingHttpResponse(
        Download(request.user, lambda: files.read(path)),
        content_type="application/octet-stream",
        headers=headers,
    )


def address(name: str, container: Container, path: str, *, at: str = "") -> str:
    """Where a page about a path is; `at` is the entry of a folder to be marked there."""
    marked = f"&at={paths.quoted(at)}" if at else ""
    place = reverse(f"containers:{name}", args=[container.pk])
    return f"{place}?path={paths.quoted(path)}{marked}"


def back_to(container: Container, path: str) -> HttpResponse:
    """To the folder that `path` is in, where it is marked."""
    name = paths.shown(paths.name_of(path))
    return redirect(address("files", container, paths.folder_of(path), at=name))


def page(
    request: Request,
    container: Container,
    template: str,
    path: str,
    context: dict[str, Any],
    *,
    status: int = 200,
) -> HttpResponse:
    """A page below the container's head, about `path`."""
    problem: FileProblem | None = context.get("problem")
    context |= {
        "crumbs": [Crumb.to(step) for step in paths.steps(path)],
        "crumb": Crumb.to(path),
        "path": paths.shown(path),
        "folder": Crumb.to(paths.folder_of(path)),
        "why_not": problem.detail if problem and request.user.sees_everything else "",
    }
    context |= detail.frame(request, container, tab="files")
    return render(request, f"containers/files/{template}", context, status=status)


def ask(
    request: Request,
    container: Container,
    part: str,
    path: str,
    context: dict[str, Any],
    *,
    status: int = 200,
) -> HttpResponse:
    """A small form: in the dialog where htmx asks for it, else a page of its own."""
    template = part if request.htmx else "ask.html"
    context |= {"part": f"containers/files/{part}"}
    return page(request, container, template, path, context, status=status)


def _refusal(
    request: Request, container: Container, path: str, problem: FileProblem
) -> HttpResponse:
    """What is the matter, and how to get on."""
    context = {
        "problem": problem,
        "closed": isinstance(problem, Closed | NotYours),
        "opener": container.action_for(request.user, "repair"),
    }
    status = 404 if isinstance(problem, NotThere) else status_of(problem)
    # htmx would not show any other in its dialog.
    status = 409 if request.htmx else status
    return ask(request, container, "_refused.html", path, context, status=status)


def status_of(problem: FileProblem) -> int:
    match problem:
        case NotYours():
            return 403
        case Closed() | Changed():
            return 409
        case TooFast():
            return 429
        case Unanswered():
            return 503
    return 422


def _row(folder: str, info: FileInfo, marked: str) -> Row:
    crumb = Crumb.to(paths.joined(folder, info.name))
    return Row(
        info=info,
        crumb=crumb,
        mode=stat.filemode(_TYPES.get(info.kind, 0) | info.mode),
        target=paths.shown(info.target),
        marked=crumb.name == marked,
    )
