"""What every page that polls needs: a digest of what it shows, and when to ask again."""

from __future__ import annotations

from hashlib import blake2s


def digest(*parts: object) -> str:
    """A few letters that stand for what a page shows: the same for the same parts, in every
    process. A poll that brings the digest of what there is now is answered with an empty 204."""
    return blake2s(repr(parts).encode(), digest_size=9).hexdigest()


def poll_seconds(moving: bool) -> int:
    """Until a page asks again: soon while anything on it is about to change."""
    return 2 if moving else 15
