"""The limit for uploads: what is too large is never kept, and still gets a page as its answer."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http import HttpRequest

# What a form adds to the file that it carries.
_FORM = 64 * 1024


def is_too_large(request: HttpRequest) -> bool:
    """Whether what is sent cannot be a file within the limit."""
    sent = request.META.get("CONTENT_LENGTH") or "0"
    limit: int = settings.UPLOAD_LIMIT
    return int(sent) > limit + _FORM


class UploadLimit(FileUploadHandler):
    """Stands before the handlers that keep files. It reads the files of a request that is too large
    and keeps none: cut off in the middle, a browser would show no answer at all."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        if self.request is not None and is_too_large(self.request):
            raise SkipFile

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        return raw_data

    def file_complete(self, file_size: int) -> UploadedFile | None:
        return None
