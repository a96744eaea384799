"""The error pages: 400 for what cannot be read and for a strange host, 503 for an outage, 500 for a
mistake in the code. Of a strange host and of an outage the log has one line."""

from __future__ import annotations

import logging
import sys

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from panel.outage import close_connections, outage
from panel.tracing import path_without_secrets, request_id

logger = logging.getLogger(__name__)

# Seconds until a browser asks again.
AGAIN = 10


def not_understood(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400. Django would name a setting of its own for a host that is not ours, with the whole
    traceback, and everybody can ask for any."""
    is_elsewhere = isinstance(exception, DisallowedHost)
    response = render(None, "400.html", {"is_elsewhere": is_elsewhere}, status=400)
    if is_elsewhere:
        logger.warning(
            "400 %s %s: asked for at the host %r, which is neither that of BERTH_URL nor one of "
            "BERTH_HOSTS",
            request.method, path_without_secrets(request), request.headers.get("Host", ""),
        )  # fmt: skip
        response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def failed(request: HttpRequest) -> HttpResponse:
    """503 where the database or the disk is missing; for everything else a 500, with the number
    under which the log tells more. Asks nothing of the database."""
    error = sys.exc_info()[1]
    words = outage(error) if error else ""
    if error is None or not words:
        context = {"request_id": request_id()}
        return render(None, "500.html", context, status=500)
    close_connections()
    logger.error("503 %s %s: %s", request.method, path_without_secrets(request), words)
    response = _out_of_order(request)
    response["Retry-After"] = str(AGAIN)
    response["Cache-Control"] = "no-store"
    # Django would log it once more, with the whole traceback.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def _out_of_order(request: HttpRequest) -> HttpResponse:
    if "HX-Request" in request.headers:
        return HttpResponse("Out of order for a moment.", "text/plain", status=503)
    posted = request.method not in {"GET", "HEAD"}
    context = {"again": AGAIN, "posted": posted, "back": "/" if posted else request.get_full_path()}
    # Without the request: what templates are told of it is asked from the database.
    return render(None, "503.html", context, status=503)
