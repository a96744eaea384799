"""A page for gunicorn that says how many bytes it was sent, or sends as many as its address asks
for. Without Django, so that it starts at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    wanted = int(environ["QUERY_STRING"] or 0)
    answer = [b"x" * 65536] * (wanted // 65536)
    if not wanted:
        answer = [str(len(environ["wsgi.input"].read())).encode()]
    length = str(sum(map(len, answer)))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", length)])
    return answer
