"""Paths inside a container: bytes on its disk, and text in an address, in a form, on a page.

A name that is no UTF-8 is held as Python holds it, with surrogates for the odd bytes. An
address bears exactly the bytes, percent-encoded; no form field and no database ever gets them.
"""

from __future__ import annotations

import os
import posixpath
from pathlib import PurePosixPath
from urllib.parse import parse_qs, quote

MAX_NAME = 255


def asked(query: str) -> str:
    """The path that a raw query string asks for, `?path=/etc/nginx`; "/" where it asks for none.

    Django's own reading of the query would replace the bytes that are no UTF-8.
    """
    values = parse_qs(query, errors="surrogateescape")
    return clean(values.get("path", ["/"])[0])


def clean(path: str) -> str:
    """Absolute, without `.`, `..` and doubled slashes."""
    return posixpath.normpath("/" + path.lstrip("/"))


def quoted(path: str) -> str:
    """As it stands in an address."""
    return quote(path, errors="surrogateescape")


def shown(path: str) -> str:
    """As it stands on a page and in the history: what cannot be printed is written as an escape,
    so that no name can break a line or turn the direction of writing."""
    return "".join(c if c.isprintable() else _escaped(c) for c in path)


def _escaped(character: str) -> str:
    try:
        character.encode()
    except UnicodeEncodeError:
        return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
    return character.encode("unicode_escape").decode()


def is_plain(path: str) -> bool:
    """Whether its name can be typed."""
    return shown(name_of(path)) == name_of(path)


def joined(folder: str, name: str) -> str:
    """A name in a folder; a name that is a whole path stands for itself."""
    return clean(posixpath.join(folder, name))


def name_of(path: str) -> str:
    return posixpath.basename(path) or "/"


def folder_of(path: str) -> str:
    return posixpath.dirname(path)


def steps(path: str) -> list[str]:
    """The folders on the way to a path, outermost first, and the path itself."""
    last = PurePosixPath(path)
    return [str(step) for step in (*reversed(last.parents), last)]


def why_not_a_name(name: str) -> str:
    """What is wrong with a name that somebody typed, in plain words; "" where nothing is."""
    if "/" in name:
        return "A name cannot contain a slash."
    if name in {"", ".", ".."}:
        return "This is not a name."
    if not name.isprintable():
        return "A name cannot contain characters that do not show."
    if len(name.encode()) > MAX_NAME:
        return f"A name can be {MAX_NAME} bytes long at most."
    return ""
