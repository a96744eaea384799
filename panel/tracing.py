"""Gives every request an id, which is in each line of the log that comes of it, and in the answer,
for whoever asks for help; and logs each request, unless it is a poll with nothing new."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from django.http import HttpRequest, HttpResponseBase
from django.utils.encoding import escape_uri_path
from structlog.contextvars import bind_contextvars, bound_contextvars, get_contextvars

from panel.redaction import without_keys

logger = logging.getLogger(__name__)

HEADER = "X-Request-ID"
# What a proxy may call a request; anything else could forge lines of the log.
_WELL_FORMED = re.compile(r"[0-9A-Za-z._-]{8,64}")


def request_id() -> str:
    """The id of the request that is being answered, or whose work is being carried out;
    "" where nobody asked."""
    return str(get_contextvars().get("request_id", ""))


class RequestLogMiddleware:
    """Takes the id that a proxy has given the request, or makes one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get(HEADER, "")
        name = given if _WELL_FORMED.fullmatch(given) else uuid4().hex
        began = time.perf_counter()
        with bound_contextvars(request_id=name, user=None):
            response = self.get_response(request)
            response[HEADER] = name
            # Pages ask every few seconds: there would be little else in the log.
            nothing_new = request.method == "GET" and response.status_code == 204
            logger.log(
                logging.DEBUG if nothing_new else logging.INFO,
                "request",
                extra={
                    "method": request.method,
                    "path": path_without_secrets(request),
                    "status": response.status_code,
                    "ms": round((time.perf_counter() - began) * 1000),
                },
            )
        return response

    def process_view(self, request: HttpRequest, *_: Any) -> None:
        if request.user.is_authenticated:
            bind_contextvars(user=request.user.pk)


def path_without_secrets(request: HttpRequest) -> str:
    """The path as one word, without its query and what must be known to nobody else."""
    return without_keys(escape_uri_path(request.path))
