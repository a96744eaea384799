"""Whether a text is an SSH public key, and if not, what is wrong with it."""

from __future__ import annotations

import base64
import binascii

from django.core.exceptions import ValidationError

# How many parts the binary half of a key has, its own name for the type counted.
PARTS = {
    "ssh-ed25519": 2,
    "ssh-rsa": 3,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "sk-ssh-ed25519@openssh.com": 3,
    "sk-ecdsa-sha2-nistp256@openssh.com": 4,
}
EXAMPLE = "It looks like this: ssh-ed25519 AAAAC3… you@laptop"


def parse(text: str) -> str:
    """The key as one line, "type base64 comment". Raises ValidationError, which says what is
    wrong and what to paste instead."""
    if "PRIVATE KEY" in text:
        raise ValidationError(
            "This is a private key: show it to nobody. Paste the public one, from the file "
            "whose name ends in .pub."
        )
    if len(text.strip().splitlines()) > 1:
        raise ValidationError("Paste one key, on one line.")
    words = text.split()
    if len(words) < 2:
        raise ValidationError(f"Something is missing. {EXAMPLE}")
    if not text.strip().replace("\t", " ").isprintable():
        raise ValidationError("There are characters in it that cannot be seen. Copy it again.")
    kind, encoded = words[:2]
    if kind == "ssh-dss":
        raise ValidationError("DSA keys are not accepted any more. Make one of type ed25519.")
    if kind not in PARTS:
        raise ValidationError(f"“{kind[:40]}” is not a type of key. {EXAMPLE}")
    _check(kind, encoded)
    return " ".join(words)


def _check(kind: str, encoded: str) -> None:
    try:
        parts = _parts(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError):
        raise ValidationError(
            "The key is damaged: part of it is missing or was changed. Copy it again."
        ) from None
    if parts[0] != kind.encode():
        raise ValidationError(f"It says {kind} in front, but the key itself is of another type.")
    if len(parts) != PARTS[kind] or not all(parts):
        raise ValidationError("The key is damaged: part of it is missing. Copy it again.")


def _parts(blob: bytes) -> list[bytes]:
    """The parts of a key, each preceded by its length. Raises ValueError where that does not
    come out even."""
    parts = []
    while blob:
        length, rest = int.from_bytes(blob[:4], "big"), blob[4:]
        if len(blob) < 4 or len(rest) < length:
            raise ValueError("cut off")
        parts.append(rest[:length])
        blob = rest[length:]
    if not parts:
        raise ValueError("empty")
    return parts
