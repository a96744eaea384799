"""Which uploads are kept: a file within the limit, on the one page that asks for a file."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http import HttpRequest

# The one page that takes a file.
_PAGE = "containers:file_upload"
# Bytes that a request has besides the file, at most.
_FORM = 64 * 1024


def is_too_large(request: HttpRequest) -> bool:
    """Whether what is sent cannot be a file within the limit."""
    sent = request.META.get("CONTENT_LENGTH") or "0"
    limit: int = settings.UPLOAD_LIMIT
    return int(sent) > limit + _FORM


def _is_asked_for(request: HttpRequest) -> bool:
    match = request.resolver_match
    return match is not None and match.view_name == _PAGE and request.user.is_authenticated


class UploadLimit(FileUploadHandler):
    """Stands before the handlers that keep files, and leaves out a file on a page that takes none,
    from somebody who is not signed in, or in a request that is too large. Such a file is read to
    its end all the same: a browser whose upload is cut off shows no answer at all."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        request = self.request
        if request is None or not _is_asked_for(request) or is_too_large(request):
            raise SkipFile

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        return raw_data

    def file_complete(self, file_size: int) -> UploadedFile | None:
        return None
