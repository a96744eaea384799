"""What a browser does to the text of a file is undone, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.repair.text import Text, difference

MARK = b"\xef\xbb\xbf"
ENDS = st.lists(
    st.sampled_from(["a", "", "ä", "\n", "\r\n", "\r", "\f", "\x1b", "\u2028", "\ufeff"])
)


def as_sent(text: Text) -> str:
    """What a browser sends back of a field that nobody has touched."""
    return text.content.replace("\n", "\r\n")


@given(ENDS.map("".join), st.booleans())
def test_a_text_that_nobody_touched_is_the_same_file(content: str, marked: bool) -> None:
    data = (MARK if marked else b"") + content.encode()
    text = Text.of(data)
    assert text is not None
    assert text.edited(as_sent(text)) == data


@given(ENDS.map("".join), st.text(alphabet="ab\n"))
def test_what_was_typed_is_what_the_file_says(content: str, typed: str) -> None:
    text = Text.of(content.encode())
    assert text is not None
    edited = Text.of(text.edited(typed.replace("\n", "\r\n")))
    assert edited is not None
    assert edited.content == typed


@pytest.mark.parametrize(
    ("data", "typed", "edited"),
    [
        (b"a\nb\n", "a\r\nB\r\n", b"a\nB\n"),
        (b"a\r\nb\r\n", "a\r\nB\r\nc\r\n", b"a\r\nB\r\nc\r\n"),
        (b"a\rb\r", "a\r\nb\r\nc\r\n", b"a\rb\rc\r"),
        (b"a\nb", "a\r\nB", b"a\nB"),
        (b"a\n", "a", b"a"),
        (b"", "a\r\n", b"a\n"),
        (MARK + b"a\r\n", "b\r\n", MARK + b"b\r\n"),
        (b"\ra\n", "\r\n\r\na\r\n", b"\r\ra\n"),
        (b"a\rb\n\nc\n", "a\r\n\r\nc\r\n", b"a\r\rc\n"),
    ],
)
def test_an_edited_line_ends_like_the_others(data: bytes, typed: str, edited: bytes) -> None:
    text = Text.of(data)
    assert text is not None
    assert text.edited(typed) == edited


def test_of_mixed_endings_only_the_changed_lines_take_the_usual_one() -> None:
    text = Text.of(b"a\r\nb\nc\nd\r\ne\r\n")
    assert text is not None
    assert text.is_mixed
    assert text.edited("a\nb\nC\nd\ne\n") == b"a\r\nb\nC\r\nd\r\ne\r\n"


@pytest.mark.parametrize(
    ("data", "foreign", "mixed"),
    [
        (b"a\nb\n", False, False),
        (MARK + b"a\n", True, False),
        (b"a\r\nb\r\n", True, False),
        (b"a\rb\r", True, False),
        (b"a\nb\nc\r\n", False, True),
    ],
)
def test_what_is_said_of_the_endings_is_so(data: bytes, foreign: bool, mixed: bool) -> None:
    text = Text.of(data)
    assert text is not None
    assert (text.is_foreign, text.is_mixed) == (foreign, mixed)


@pytest.mark.parametrize("data", [b"a\0b", b"\xff\xfe", b"caf\xe9"])
def test_what_is_no_text_is_not_taken_for_one(data: bytes) -> None:
    assert Text.of(data) is None


def test_a_comparison_shows_what_goes_and_what_comes() -> None:
    lines = difference("a\nb\nc", "a\nB\nc")
    assert lines is not None
    assert [(line.sign, line.text) for line in lines] == [
        (" ", "a"), ("-", "b"), ("+", "B"), (" ", "c"),
    ]  # fmt: skip


def test_a_comparison_leaves_out_what_is_far_from_any_change() -> None:
    middle = "\n".join(map(str, range(50)))
    lines = difference(f"a\n{middle}\nb", f"A\n{middle}\nB")
    assert lines is not None
    assert [line.text for line in lines if not line.sign] == ["⋯"]
    assert len(lines) == 11


def test_what_is_too_long_is_not_compared() -> None:
    assert difference("a\n" * 10_000, "b") is None
    assert difference("b", "a\n" * 10_000) is None
