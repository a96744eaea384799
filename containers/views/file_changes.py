"""Repair: files uploaded, folders made, both renamed, moved and deleted."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.views.decorators.http import require_http_methods

from containers.forms import NameForm, RenameForm, UploadForm, too_large
from containers.models import Container
from containers.repair import paths
from containers.repair.files import Changed, FileProblem, Files
from containers.repair.uploads import is_too_large
from containers.views.files import about_files, ask, back_to, status_of
from panel.http import Request


@require_http_methods(["GET", "HEAD", "POST"])
@about_files
def upload(request: Request, container: Container, folder: str) -> HttpResponseBase:
    files = Files(container, request.user)
    if request.method != "POST":
        initial = {"name": request.GET.get("name", ""), "replace": "name" in request.GET}
        form = UploadForm(initial=initial)
        return ask(request, container, "_upload.html", folder, {"form": form})
    form = UploadForm(request.POST, request.FILES)
    if is_too_large(request):
        form.errors.pop("file", None)
        form.add_error("file", too_large())
    if not form.is_valid():
        return _again(request, container, "_upload.html", folder, form)
    file, replace = form.cleaned_data["file"], form.cleaned_data["replace"]
    path = paths.joined(folder, form.cleaned_data["name"] or file.name)
    try:
        try:
            files.write(path, file.file, did="uploaded", size=file.size, version="")
        except Changed:
            if not replace:
                raise
            # It may have come while this one was being read.
            file.seek(0)
            files.write(path, file.file, did="replaced", size=file.size)
    except Changed:
        name = paths.shown(paths.name_of(path))
        form.add_error("replace", f"{name} is there already. Choose the file again and tick this.")
        return _again(request, container, "_upload.html", folder, form, status=409)
    except FileProblem as problem:
        return _again(request, container, "_upload.html", folder, form, problem=problem)
    messages.success(request, f"{paths.shown(paths.name_of(path))} is uploaded.")
    return back_to(container, path)


@require_http_methods(["GET", "HEAD", "POST"])
@about_files
def new_folder(request: Request, container: Container, folder: str) -> HttpResponseBase:
    files = Files(container, request.user)
    if request.method != "POST":
        return ask(request, container, "_new_folder.html", folder, {"form": NameForm()})
    form = NameForm(request.POST)
    if not form.is_valid():
        return _again(request, container, "_new_folder.html", folder, form)
    path = paths.joined(folder, form.cleaned_data["name"])
    try:
        files.make_folder(path)
    except FileProblem as problem:
        return _again(request, container, "_new_folder.html", folder, form, problem=problem)
    messages.success(request, f"{paths.shown(paths.name_of(path))} is made.")
    return back_to(container, path)


@require_http_methods(["GET", "HEAD", "POST"])
@about_files
def rename(request: Request, container: Container, path: str) -> HttpResponseBase:
    files = Files(container, request.user)
    if request.method != "POST":
        files.entry(path)
        # A name with bytes that cannot be typed has to be typed anew.
        form = RenameForm(initial={"to": paths.name_of(path) if paths.is_plain(path) else ""})
        return ask(request, container, "_rename.html", path, {"form": form})
    form = RenameForm(request.POST)
    if not form.is_valid():
        return _again(request, container, "_rename.html", path, form)
    to = paths.joined(paths.folder_of(path), form.cleaned_data["to"])
    try:
        if to != path:
            files.rename(path, to)
    except FileProblem as problem:
        return _again(request, container, "_rename.html", path, form, problem=problem)
    old = paths.shown(paths.name_of(path))
    messages.success(request, f"{old} is {form.cleaned_data['to']} now.")
    return back_to(container, to)


@require_http_methods(["GET", "HEAD", "POST"])
@about_files
def delete(request: Request, container: Container, path: str) -> HttpResponseBase:
    files = Files(container, request.user)
    if request.method != "POST":
        entry = files.entry(path)
        context = {"info": entry, "target": paths.shown(entry.target)}
        return ask(request, container, "_delete.html", path, context)
    files.remove(path)
    messages.success(request, f"{paths.shown(paths.name_of(path))} is deleted.")
    return back_to(container, path)


def _again(
    request: Request,
    container: Container,
    part: str,
    path: str,
    form: forms.Form,
    *,
    problem: FileProblem | None = None,
    status: int = 422,
) -> HttpResponse:
    """The same form, with what was typed and what is wrong with it."""
    context: dict[str, Any] = {"form": form, "problem": problem}
    status = status_of(problem) if problem else status
    return ask(request, container, part, path, context, status=status)
