"""An SSH key is taken as it is pasted, or the customer is told what is wrong with it."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from orders import ssh_keys

# Made with ssh-keygen and thrown away.
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIENZqbVv6mHPrjbLuPNgVZJGHTzwlkWWCtEcpJlUzIoK"
COMMENTS = st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=20)
NUMBER = base64.b64decode(ED25519.split()[1])[-32:]
RSA = rsa.generate_private_key(65537, 2048).public_key()
ECDSA = ec.generate_private_key(ec.SECP256R1()).public_key()
POINT = ECDSA.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def line(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> str:
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def blob(*parts: bytes) -> str:
    return base64.b64encode(b"".join(len(p).to_bytes(4, "big") + p for p in parts)).decode()


def key(kind: str, *parts: bytes) -> str:
    return f"{kind} {blob(kind.encode(), *parts)}"


@pytest.mark.parametrize(
    "text",
    [
        ED25519,
        f"{ED25519} lena@laptop",
        f"  {ED25519}\tlena's new  läptop \n",
        line(RSA),
        line(ECDSA),
        key("sk-ssh-ed25519@openssh.com", NUMBER, b"ssh:"),
        key("sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", POINT, b"ssh:"),
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
        (key("ssh-ed25519-cert-v01@openssh.com", b"x"), "is not a type of key"),
        (key("ssh-dss", b"p", b"q", b"g", b"y"), "DSA"),
        ("ssh-ed25519 here-is-my-key", "damaged"),
        (ED25519[:-8], "damaged"),
        (ED25519.replace("ssh-ed25519", "ssh-rsa"), "damaged"),
        ("ssh-ed25519 " + blob(b"ssh-ed25519"), "damaged"),
        ("ssh-ed25519 " + blob(b"ssh-ed25519", b""), "damaged"),
        (f"{ED25519} lena\x07", "cannot be seen"),
    ],
)
def test_a_bad_key_is_refused_with_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ssh_keys.parse(text)
    assert said in refused.value.messages[0]


def test_a_key_that_nobody_could_sign_in_with_is_refused() -> None:
    no_point = key("ecdsa-sha2-nistp256", b"nistp256", b"\4" + b"p" * 64)
    with pytest.raises(ValidationError, match="damaged"):
        ssh_keys.parse(no_point)


@given(COMMENTS)
def test_a_key_is_taken_with_any_comment(comment: str) -> None:
    text = f"{ED25519} {comment}".strip()
    assert ssh_keys.parse(text) == " ".join(text.split())


@given(st.text(max_size=400) | st.text(max_size=20).map(lambda text: f"{ED25519} {text}"))
def test_whatever_is_pasted_is_one_good_line_or_refused(text: str) -> None:
    try:
        line = ssh_keys.parse(text)
    except ValidationError:
        return
    assert line.isprintable()
    assert line.startswith(ED25519)


@given(st.integers(min_value=0, max_value=len(ED25519) - 1))
def test_a_key_that_was_cut_off_is_refused(length: int) -> None:
    with pytest.raises(ValidationError):
        ssh_keys.parse(ED25519[:length])
