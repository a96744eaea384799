"""Paths survive the way from a folder into an address, back, and onto a page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.repair import paths

NAMES = st.binary(min_size=1, max_size=20).filter(
    lambda name: not {0, 0x2F} & set(name) and name not in {b".", b".."}
)


@given(st.lists(NAMES))
def test_every_path_comes_back_from_its_address(names: list[bytes]) -> None:
    path = "/" + b"/".join(names).decode(errors="surrogateescape")
    assert paths.asked(f"path={paths.quoted(path)}&page=2") == path


@given(NAMES)
def test_every_name_can_be_shown_on_one_line(name: bytes) -> None:
    assert paths.shown(name.decode(errors="surrogateescape")).isprintable()


def test_what_cannot_be_printed_is_shown_as_an_escape() -> None:
    assert paths.shown("caf\udce9 \u202e\n ä") == "caf\\xe9 \\u202e\\n ä"


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ("", "/"),
        ("path=", "/"),
        ("path=etc", "/etc"),
        ("path=//etc//./nginx/", "/etc/nginx"),
        ("path=/etc/../../../root", "/root"),
        ("path=%2Fetc%2F..%2F..", "/"),
    ],
)
def test_an_address_never_leads_above_the_root(asked: str, path: str) -> None:
    assert paths.asked(asked) == path


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\nb", "a\u202eb", "ä" * 128, "a" * 256])
def test_what_is_no_name_is_refused_with_a_reason(name: str) -> None:
    assert paths.why_not_a_name(name)


@pytest.mark.parametrize("name", ["nginx.conf", ".bashrc", "...", "with space", "a" * 255])
def test_a_name_is_a_name(name: str) -> None:
    assert paths.why_not_a_name(name) == ""


def test_the_way_to_a_path_begins_at_the_root() -> None:
    assert paths.steps("/etc/nginx") == ["/", "/etc", "/etc/nginx"]
    assert paths.steps("/") == ["/"]
