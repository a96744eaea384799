"""What is kept of what is sent: a file within the limit, where one is asked for."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http import HttpRequest

# The one page that takes a file.
_PAGE = "containers:file_upload"
# What a form adds to the file that it carries.
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
    """Stands before the handlers that keep files. Of a file that the page does not take, that comes
    from somebody who is not signed in, or in a request that is too large, nothing is kept. It is
    read to its end all the same: a browser whose upload is cut off shows no answer at all."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        request = self.request
        if request is None or not _is_asked_for(request) or is_too_large(request):
            raise SkipFile

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        return raw_data

    def file_complete(self, file_size: int) -> UploadedFile | None:
        return None
