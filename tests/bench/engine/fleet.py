"""A fleet of servers that answer for next to nothing, as nodes of the panel."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.conf import settings as django_settings
from django.utils import timezone

from containers.drivers.incus.trust import make_identity
from containers.models import Container, Node
from containers.statuses import Status
from panel.models import User
from tests.bench.engine.servers import address, first_id

CONTAINERS = 20


def self_signed(file: Path) -> str:
    """A key and a certificate for the servers, and the certificate alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    now = timezone.now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + certificate)
    return certificate.decode()


@contextmanager
def fleet(
    count: int, hanging: int, status: Status, *, customer: User, folder: Path
) -> Iterator[list[Node]]:
    """So many nodes, on which all containers are in one status; the last `hanging` take every
    question and answer none."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    pem = folder / "server.pem"
    certificate = self_signed(pem)
    make_identity(folder / "incus.pem")
    reach = {"certificate": certificate, "project": "berth", "pool": "default"}
    made = Node.objects.bulk_create(
        Node(name=f"n-{n}", kind=Node.Kind.INCUS, settings={"address": address(n, port), **reach})
        for n in range(count)
    )
    Container.objects.bulk_create(
        [
            Container(
                pk=pk, customer=customer, name=f"web-{pk}", plan="Small", cpus=1, memory_mb=512,
                disk_gb=10, system="Debian", image="debian/12", node=node, status=status,
            )
            for number, node in enumerate(made)
            for pk in range(first_id(number, CONTAINERS), first_id(number + 1, CONTAINERS))
        ],
        batch_size=100,
    )  # fmt: skip
    sizes = map(str, (port, count, hanging, CONTAINERS, status.capitalize()))
    command = [sys.executable, "-m", "tests.bench.engine.servers", str(pem), *sizes]
    with subprocess.Popen(command, cwd=django_settings.BASE_DIR, stdout=subprocess.PIPE) as servers:
        assert servers.stdout is not None
        assert servers.stdout.readline() == b"ready\n"
        yield made
        servers.kill()
