"""A fleet of servers that answer for next to nothing, as nodes of the panel."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings as django_settings

from containers.drivers.incus.trust import make_identity
from containers.models import Container, Node
from containers.statuses import Status
from panel.models import User
from tests.bench.engine.servers import address, first_id
from tests.certificate import self_signed

CONTAINERS = 20


@contextmanager
def fleet(
    count: int, hanging: int, status: Status, *, customer: User, folder: Path
) -> Iterator[list[Node]]:
    """So many nodes, on which all containers are in one status; the last `hanging` take every
    question and answer none."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    pem = folder / "server.pem"
    key, certificate = self_signed("bench")
    pem.write_bytes(key + certificate)
    make_identity(folder / "incus.pem")
    reach = {"certificate": certificate.decode(), "project": "berth", "pool": "default"}
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
