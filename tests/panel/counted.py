"""Pages for gunicorn, without Django, so that it starts at once: one says how many bytes it was
sent, `?bytes=N` sends as many, `?nap=S` takes so many seconds and says how many did so at once;
`&says=F` makes this file as soon as it begins."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from panel import serving

napping: list[float] = []


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    wanted = dict(parse_qsl(environ["QUERY_STRING"]))
    answer = [b"x" * 65536] * (int(wanted.get("bytes", 0)) // 65536)
    if "nap" in wanted:
        answer = [nap(float(wanted["nap"]), wanted.get("says"))]
    elif not answer:
        answer = [str(len(environ["wsgi.input"].read())).encode()]
    length = str(sum(map(len, answer)))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", length)])
    return answer


def nap(seconds: float, says: str | None) -> bytes:
    napping.append(seconds)
    if says:
        Path(says).touch()
    time.sleep(seconds)
    at_once = len(napping)
    napping.pop()
    return str(at_once).encode()


def at_work_for(seconds: float) -> Any:
    """The same, where a request is taken to be at work for so long."""
    serving.MOMENT = seconds
    return application
