"""What the value of a setting may be; each check raises ValidationError, saying what is allowed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from environs import ValidationError, validate
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from panel import logs

# Longer than anybody waits, and short enough to be added to a date.
LONGEST = timedelta(days=365).total_seconds()

port = validate.Range(min=1, max=65535)
none_or_more = validate.Range(min=0)
one_or_more = validate.Range(min=1)
seconds = validate.Range(min=0, max=LONGEST, min_inclusive=False)
seconds_or_none = validate.Range(min=0, max=LONGEST)
# A worker renews its hold once a second.
lease = validate.Range(min=1, max=LONGEST, min_inclusive=False)
log_level = validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
log_format = validate.OneOf(logs.FORMATS)
currency = validate.Regexp(
    r"[A-Z]{3}\Z", error="Must be the three capital letters of a currency in ISO 4217, like EUR."
)
sender = validate.Regexp(
    r"[^@\r\n]+@[^@\r\n]+\Z", error="Must be an e-mail address, like berth@example.com."
)


def pauses(given: list[float]) -> None:
    """A list of `seconds`."""
    for pause in given:
        seconds(pause)


def whole(given: str, *schemes: str) -> SplitResult | None:
    """The parts of an address that has one of these schemes, a host, and no port that there is not;
    None for any other."""
    try:
        parts = urlsplit(given)
        return parts if parts.scheme in schemes and parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def address(given: str) -> None:
    """Scheme and host of the web, and a port if need be: the panel is all that is there."""
    parts = whole(given, "http", "https")
    more = parts and (parts.path.strip("/") or parts.query or parts.fragment)
    if not parts or more or parts.username is not None:
        raise ValidationError(
            "Must be a whole address, like https://panel.example.com, without a path and a user."
        )


def queue(given: str) -> None:
    """The address of a queue, read as the library of that queue reads it: that one would say what
    is wrong only when the first worker is to be woken."""
    try:
        if given.startswith(("postgres:", "postgresql:")):
            # Further servers may stand behind commas.
            ports = str(conninfo_to_dict(given).get("port", "")).split(",")
        else:
            ports = [str(urlsplit(given).port or "")]
        good = all(1 <= int(number) <= 65535 for number in ports if number)
    except (ValueError, ProgrammingError):
        good = False
    if not good:
        raise ValidationError("Must be a whole address, like redis://queue.example.com:6379.")


def hosts(given: list[str]) -> None:
    """Names or IP addresses without port, as Django compares them with the Host header."""
    host = validate.Regexp(
        r"([A-Za-z0-9.*-]+|\[[0-9A-Fa-f:.]+\])\Z",
        error="Must be host names, with commas and nothing else between them.",
    )
    for name in given:
        host(name)


def time_zone(given: str) -> None:
    """A zone that Python knows."""
    try:
        ZoneInfo(given)
    except (KeyError, OSError, ValueError) as unknown:
        raise ValidationError("Must be the name of a time zone, like Europe/Berlin.") from unknown


def gateways(given: Any) -> None:
    """As django-payments takes them, one at least. Whether a provider exists and takes its options
    is looked at once the apps are there (`orders/checks.py`)."""
    variants = list(given.values()) if isinstance(given, dict) else []
    pairs = [variant for variant in variants if isinstance(variant, list)]
    good = [pair for pair in pairs if [type(part) for part in pair] == [str, dict]]
    if not good or good != variants or "" in given:
        raise ValidationError(
            'Must be one gateway or more, like {"dummy": ["payments.dummy.DummyProvider", {}]}.'
        )
