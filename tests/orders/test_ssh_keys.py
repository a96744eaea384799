"""An SSH key is taken as it is pasted, or the customer is told what is wrong with it."""

from __future__ import annotations

import base64

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from orders import ssh_keys

# Made with ssh-keygen and thrown away.
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIENZqbVv6mHPrjbLuPNgVZJGHTzwlkWWCtEcpJlUzIoK"
COMMENTS = st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=20)


def blob(*parts: bytes) -> str:
    return base64.b64encode(b"".join(len(p).to_bytes(4, "big") + p for p in parts)).decode()


def key(kind: str, *parts: bytes) -> str:
    return f"{kind} {blob(kind.encode(), *parts)}"


@pytest.mark.parametrize(
    "text",
    [
        ED25519,
        f"{ED25519} lena@laptop",
        f"  {ED25519}\tlena's new  laptop \n",
        key("ssh-rsa", b"\1\0\1", b"\0" + b"n" * 256),
        key("ecdsa-sha2-nistp256", b"nistp256", b"\4" + b"p" * 64),
        key("sk-ssh-ed25519@openssh.com", b"k" * 32, b"ssh:"),
        key("sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", b"p" * 65, b"ssh:"),
    ],
)
def test_a_good_key_is_taken_as_one_line(text: str) -> None:
    assert ssh_keys.parse(text) == " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn", "private key"),
        (f"{ED25519}\n{ED25519}", "one line"),
        ("ssh-ed25519", "Something is missing"),
        ("AAAAC3NzaC1lZDI1NTE5AAAAIENZqbVv6mHPrjbLuPNgVZJGHTzwlkWWCtEcpJlUzIoK", "missing"),
        (f"no-pty {ED25519}", "“no-pty” is not a type of key"),
        (key("ssh-dss", b"p", b"q", b"g", b"y"), "DSA"),
        ("ssh-ed25519 here-is-my-key", "damaged"),
        (ED25519[:-8], "damaged"),
        (ED25519.replace("ssh-ed25519", "ssh-rsa"), "of another type"),
        ("ssh-ed25519 " + blob(b"ssh-ed25519"), "part of it is missing"),
        ("ssh-ed25519 " + blob(b"ssh-ed25519", b""), "part of it is missing"),
        (f"{ED25519} lena\x07", "cannot be seen"),
    ],
)
def test_a_bad_key_is_refused_with_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ssh_keys.parse(text)
    assert said in refused.value.messages[0]


@given(st.binary(min_size=1, max_size=300), st.binary(min_size=1, max_size=8), COMMENTS)
def test_every_key_made_by_the_rules_is_taken(one: bytes, two: bytes, comment: str) -> None:
    text = f"{key('ssh-rsa', two, one)} {comment}".strip()
    assert ssh_keys.parse(text) == " ".join(text.split())


@given(st.text(max_size=400) | st.text(max_size=20).map(lambda text: f"{ED25519} {text}"))
def test_whatever_is_pasted_is_one_good_line_or_refused(text: str) -> None:
    try:
        line = ssh_keys.parse(text)
    except ValidationError:
        return
    assert line.isprintable()
    assert line.split()[0] in ssh_keys.PARTS


@given(st.integers(min_value=0, max_value=len(ED25519) - 1))
def test_a_key_that_was_cut_off_is_refused(length: int) -> None:
    with pytest.raises(ValidationError):
        ssh_keys.parse(ED25519[:length])
