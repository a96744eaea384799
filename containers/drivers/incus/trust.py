"""How the panel and a server come to trust each other: key pair, join token, registration."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from containers.drivers import Refused, Unreachable

from .client import Client, Server
from .errors import NotTrusted

_DAYS = 3650


class BadToken(Refused):
    """The text is no join token of Incus, or one that cannot be used any more."""

    sentence = "This is not a join token that can be used. Have the server print a new one."


@dataclass(frozen=True)
class Token:
    """What `incus config trust add` prints. `fingerprint` is that of the server's certificate,
    SHA-256 in hexadecimal; `addresses` are `host:port`."""

    text: str = field(repr=False)
    addresses: tuple[str, ...]
    fingerprint: str


def read_token(text: str) -> Token:
    """Raises BadToken."""
    text = "".join(text.split())
    try:
        told = json.loads(base64.b64decode(text, validate=True))
        token = Token(text, tuple(map(str, told["addresses"])), str(told["fingerprint"]).lower())
        secret, has_passed = told["secret"], _has_passed(str(told.get("expires_at", "")))
    except (ValueError, KeyError, TypeError) as failure:
        raise BadToken("what was pasted is no token, or a part of one") from failure
    if not (secret and token.addresses and token.fingerprint):
        raise BadToken("a join token without address, fingerprint or secret")
    if has_passed:
        raise BadToken(f"the token expired at {told['expires_at']}")
    return token


def _has_passed(moment: str) -> bool:
    """Whether it has; the year 1 is how Incus says never."""
    if not moment or moment.startswith("0001-"):
        return False
    return datetime.fromisoformat(moment) < datetime.now(UTC)


def join(token: Token, identity: Path, *, project: str = "berth", timeout: float = 5) -> Server:
    """Register the panel at the server that made the token, at the first of its addresses that
    answers, and return how to reach it from now on. The secret goes only to the holder of the
    certificate that the token names. Raises BadToken, Refused, Unreachable."""
    server = _first_that_answers(token, identity, project, timeout)
    try:
        with closing(Client(server)) as client:
            if not client.is_trusted:
                body = {"type": "client", "trust_token": token.text}
                client.change("POST", "/1.0/certificates", body)
            client.get(f"/1.0/projects/{project}")
    except (NotTrusted, Refused) as refusal:
        raise BadToken(f"{server.address}: {refusal.detail}") from refusal
    return server


def _first_that_answers(token: Token, identity: Path, project: str, timeout: float) -> Server:
    failures = []
    for address in token.addresses:
        try:
            certificate = fetch_certificate(address, timeout)
        except Unreachable as failure:
            failures.append(failure.detail)
            continue
        if fingerprint(certificate) == token.fingerprint:
            return Server(f"https://{address}", certificate, identity, project, timeout)
        failures.append(f"{address}: its certificate is not the one that the token names")
    raise Unreachable("; ".join(failures), "None of the server's addresses can be reached.")


def fetch_certificate(address: str, timeout: float) -> str:
    """The certificate (PEM) that a server at `host:port` shows, trusted or not."""
    host, _, port = address.rpartition(":")
    try:
        return ssl.get_server_certificate((host.strip("[]"), int(port)), timeout=timeout)
    except (OSError, ValueError) as failure:
        raise Unreachable(f"{address}: {failure}") from failure


def fingerprint(certificate: str) -> str:
    """SHA-256 of a certificate (PEM), in hexadecimal, as Incus shows it."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()


def make_identity(file: Path) -> Path:
    """The panel's key and certificate, made in `file` where there is none. Several processes that
    make it at once all get the same."""
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}.{uuid4().hex}")
        try:
            draft.touch(mode=0o600)
            draft.write_bytes(_key_and_certificate())
            with suppress(FileExistsError):
                file.hardlink_to(draft)
        finally:
            draft.unlink(missing_ok=True)
    return file


def _key_and_certificate() -> bytes:
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "berth")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks differ
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA384())
    )
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)


def certificate_in(identity: Path) -> str:
    """The certificate alone (PEM)."""
    found = x509.load_pem_x509_certificate(identity.read_bytes())
    return found.public_bytes(serialization.Encoding.PEM).decode()


def renew(server: Server, identity: Path) -> Server:
    """Have the server trust another key pair of the panel's in place of the present one, which
    it does not let in any more from then on. Asked again after a crash it goes on. Returns how
    to reach the server from now on. Raises Refused, Unreachable."""
    renewed = replace(server, identity=identity)
    if server.identity is None:
        raise Refused("over a local socket there is no certificate to renew")
    with closing(Client(renewed)) as for_new, closing(Client(server)) as for_old:
        if not for_new.is_trusted:
            was = fingerprint(certificate_in(server.identity))
            change = {"certificate": certificate_in(identity)}
            for_old.change("PATCH", f"/1.0/certificates/{was}", change)
    return renewed
