"""The setting BERTH_IMAGE_SERVERS: read whole, or not at all."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from panel.allowed import whole

FIELDS = ("url", "protocol", "certificate")
PROTOCOLS = ("incus", "simplestreams")


def read(given: Any) -> dict[str, dict[str, str]]:
    """What an `ImageSource` is made of, by the name of its server; certificates are read from
    their files. Raises ImproperlyConfigured with what is wrong where."""
    if not isinstance(given, dict):
        raise ImproperlyConfigured("BERTH_IMAGE_SERVERS must be an object with a key for each name")
    return {name: _server(name, server) for name, server in given.items()}


def _server(name: str, given: Any) -> dict[str, str]:
    def check(good: bool, rule: str) -> None:
        if not good:
            raise ImproperlyConfigured(f"BERTH_IMAGE_SERVERS, {name}: {rule}")

    check(bool(re.fullmatch(r"[a-z0-9-]+", name)), "a name is small letters, digits and hyphens")
    check(isinstance(given, dict) and given.keys() <= set(FIELDS), f"it has {', '.join(FIELDS)}")
    url, protocol, file = (given.get(field, "") for field in FIELDS)
    is_whole = isinstance(url, str) and whole(url, "https") is not None
    check(is_whole, "url must be a whole https address")
    check(protocol in PROTOCOLS, f"protocol must be one of {', '.join(PROTOCOLS)}")
    check(protocol != "incus" or file, "of an Incus server the certificate must be given")
    try:
        certificate = Path(file).read_text() if file else ""
        if file:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificate)
    except (OSError, TypeError, ValueError) as failure:  # ssl.SSLError is an OSError
        check(False, f"certificate must be a PEM file that can be read: {failure}")
    return {"url": url.rstrip("/"), "protocol": protocol, "certificate": certificate}
