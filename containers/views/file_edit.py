"""Repair: text files in an editor, which never overwrites what somebody else has changed."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from containers.drivers import FileInfo, FileKind
from containers.forms import NewTextForm, TextForm
from containers.models import Container
from containers.repair import paths
from containers.repair.files import Changed, Closed, FileProblem, Files, NotThere
from containers.repair.text import Text, difference, unified
from containers.views.files import about_files, address, back_to, page, status_of
from panel.http import Request


@dataclass(frozen=True)
class Opened:
    """A file, or the place for one: `text` is None where the editor cannot hold what is there.
    `info` and `version` were taken before it was read, so that a change in between is noticed."""

    info: FileInfo | None
    text: Text | None

    @property
    def version(self) -> str:
        return self.info.version if self.info else ""


@require_http_methods(["GET", "HEAD", "POST"])
@about_files
def edit(request: Request, container: Container, path: str) -> HttpResponseBase:
    if request.method == "POST":
        return _save(request, container, path)
    opened = _open(Files(container, request.user), path)
    if opened.info and opened.info.kind == FileKind.FOLDER:
        return redirect(address("files", container, path))
    if opened.text is None:
        too_large = opened.info and opened.info.size > settings.EDIT_LIMIT
        context = {"info": opened.info, "too_large": too_large, "can_replace": paths.is_plain(path)}
        return page(request, container, "unopened.html", path, context)
    form = TextForm(initial={"content": opened.text.content, "version": opened.version})
    return _editor(request, container, path, form, text=opened.text)


@require_http_methods(["GET", "HEAD", "POST"])
@about_files
def new(request: Request, container: Container, folder: str) -> HttpResponseBase:
    if request.method != "POST":
        Files(container, request.user)
        return _editor(request, container, folder, NewTextForm(), new=True)
    form = NewTextForm(request.POST)
    try:
        files = Files(container, request.user)
        if not form.is_valid():
            return _editor(request, container, folder, form, new=True, status=422)
        path = paths.joined(folder, form.cleaned_data["name"])
        data = Text().edited(form.cleaned_data["content"])
        files.write(path, BytesIO(data), did="created", size=len(data), version="")
    except Changed:
        form.add_error("name", "There is a file of this name already.")
        return _editor(request, container, folder, form, new=True, status=409)
    except FileProblem as problem:
        return _editor(request, container, folder, form, new=True, problem=problem)
    messages.success(request, f"{paths.shown(paths.name_of(path))} is created.")
    return back_to(container, path)


def _save(request: Request, container: Container, path: str) -> HttpResponse:
    form, name = TextForm(request.POST), paths.shown(paths.name_of(path))
    try:
        files = Files(container, request.user)
        opened = _open(files, path, or_none=True)
        if not form.is_valid():
            return _editor(request, container, path, form, text=opened.text, status=422)
        mine = form.cleaned_data["content"]
        if opened.info and opened.text and opened.text.content == unified(mine):
            messages.info(request, f"{name} is as it was: it says this already.")
            return back_to(container, path)
        if opened.version == form.cleaned_data["version"]:
            data = (opened.text or Text()).edited(mine)
            did = "edited" if opened.info else "created"
            try:
                files.write(path, BytesIO(data), did=did, size=len(data), version=opened.version)
            except Changed:
                opened = _open(files, path, or_none=True)
            else:
                messages.success(request, f"{name} is saved.")
                return back_to(container, path)
        return _conflict(request, container, path, form, opened)
    except FileProblem as problem:
        return _editor(request, container, path, form, problem=problem)


def _open(files: Files, path: str, *, or_none: bool = False) -> Opened:
    """What is at `path` now; with `or_none` there may be nothing."""
    try:
        info = files.info(path)
    except NotThere:
        if not or_none:
            raise
        return Opened(None, Text())
    if info.kind != FileKind.FILE or info.size > settings.EDIT_LIMIT:
        return Opened(info, None)
    # It may have grown since; one byte too many tells.
    data = files.start_of(path, settings.EDIT_LIMIT + 1)
    return Opened(info, Text.of(data) if len(data) <= settings.EDIT_LIMIT else None)


def _conflict(
    request: Request, container: Container, path: str, form: TextForm, opened: Opened
) -> HttpResponse:
    """Show both, keep what was typed, and let the person decide.

    The form bears the version that is shown now: a further change in between is noticed again.
    """
    data = request.POST.copy()
    data["version"] = opened.version
    again = TextForm(data)
    mine = unified(form.cleaned_data["content"])
    context: dict[str, Any] = {
        "conflict": True,
        "gone": opened.info is None,
        "lines": difference(opened.text.content, mine) if opened.text else None,
    }
    return _editor(request, container, path, again, text=opened.text, status=409, **context)


def _editor(
    request: Request,
    container: Container,
    path: str,
    form: TextForm,
    *,
    text: Text | None = None,
    new: bool = False,
    problem: FileProblem | None = None,
    status: int = 200,
    **context: Any,
) -> HttpResponse:
    context |= {
        "form": form,
        "text": text,
        "new": new,
        "problem": problem,
        "closed": isinstance(problem, Closed),
    }
    template = "new.html" if new else "edit.html"
    status = status_of(problem) if problem else status
    return page(request, container, template, path, context, status=status)
