"""Whether a text is an SSH public key, and if not, what is wrong with it."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_identity
from django.core.exceptions import ValidationError

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
    kind, line = words[0], " ".join(words)
    if kind == "ssh-dss":
        raise ValidationError("DSA keys are not accepted any more. Make one of type ed25519.")
    unknown = ValidationError(f"“{kind[:40]}” is not a type of key. {EXAMPLE}")
    if "-cert-" in kind:
        raise unknown
    try:
        load_ssh_public_identity(line.encode())
    except UnsupportedAlgorithm:
        raise unknown from None
    except ValueError as error:
        raise ValidationError(
            "The key is damaged: part of it is missing or was changed. Copy it again."
        ) from error
    return line
