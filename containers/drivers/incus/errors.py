"""What Incus says went wrong, in the words of the driver protocol."""

from __future__ import annotations

from containers.drivers import (
    Conflict,
    DriverError,
    NoImageServer,
    NoRoom,
    NoSuchImage,
    NoSuchInstance,
    Refused,
    Unreachable,
)


class NotTrusted(Unreachable):
    """The server answers, but does not let the panel in: nothing is known of what it does."""

    sentence = "The node does not let the panel in. The work goes on as soon as it does."


class Unheard(Conflict):
    """The system inside did not do what it was asked in the time that it was given."""


class NotFound(Refused):
    """The server has nothing of that name."""


# Incus has no codes for these, only texts; the first that occurs in the answer decides.
_TEXTS: tuple[tuple[type[DriverError], tuple[str, ...]], ...] = (
    (
        NoRoom,
        (
            "no space left",
            "out of disk space",
            "quota exceeded",
            "not enough space",
            "cannot allocate memory",
            "reached maximum",
            "file too large",
        ),
    ),
    (
        NoImageServer,
        (
            "failed to connect to the server",
            'failed getting remote image info: get "',
            "failed parsing stream",
            "failed parsing products",
        ),
    ),
    (
        NoSuchImage,
        (
            "image not provided",
            "image not found",
            "failed getting image",
            "failed getting remote image info",
            "no matching image",
        ),
    ),
    (NoSuchInstance, ("instance not found",)),
    (Unheard, ("context deadline exceeded",)),
    # The last two come only from a daemon that has just been started and contradicts itself: the
    # panel looks at an instance before it starts or stops it.
    (
        Conflict,
        (
            "is busy",
            "precondition failed",
            "etag doesn't match",
            "is already stopped",
            "is already running",
        ),
    ),
    (
        Unreachable,
        (
            "missing event connection",
            "connection refused",
            "i/o timeout",
            "no route to host",
            "database is locked",
            "is shutting down",
            "daemon is starting",
            "isn't ready",
            "failed to begin transaction",
            "leader server found",
            "is currently offline",
        ),
    ),
)
_CODES: dict[int, type[DriverError]] = {
    404: NotFound,
    409: Conflict,
    412: Conflict,
    502: Unreachable,
    503: Unreachable,
}


def error(text: str, code: int = 0) -> DriverError:
    """The error that an answer of Incus stands for; `code` is that of HTTP, if there is one."""
    lowered = text.lower()
    for kind, texts in _TEXTS:
        if any(known in lowered for known in texts):
            return kind(text)
    return _CODES.get(code, Refused)(text or f"HTTP {code}")
