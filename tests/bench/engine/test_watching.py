"""Many nodes watched by one process, a tenth of them hanging."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import pytest
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
from tests.bench.conftest import Figures
from tests.bench.engine.servers import address, first_id
from tests.containers.test_processes import Panel, until

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

EVERY = 5.0
CONTAINERS = 20
# Beats from one look at a node to the next; the aim is one.
GENEROUS = 3.0


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


@pytest.fixture
def nodes(
    request: pytest.FixtureRequest, transactional_db: None, tmp_path: Path, lena: User
) -> Iterator[list[Node]]:
    """So many servers, the last tenth of which take every question and answer none."""
    count: int = request.param
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    pem = tmp_path / "server.pem"
    certificate = self_signed(pem)
    make_identity(tmp_path / "incus.pem")
    reach = {"certificate": certificate, "project": "berth", "pool": "default"}
    made = Node.objects.bulk_create(
        Node(name=f"n-{n}", kind=Node.Kind.INCUS, settings={"address": address(n, port), **reach})
        for n in range(count)
    )
    Container.objects.bulk_create(
        [
            Container(
                pk=pk, customer=lena, name=f"web-{pk}", plan="Small", cpus=1, memory_mb=512,
                disk_gb=10, system="Debian", image="debian/12", node=node, status=Status.STOPPED,
            )
            for number, node in enumerate(made)
            for pk in range(first_id(number, CONTAINERS), first_id(number + 1, CONTAINERS))
        ],
        batch_size=100,
    )  # fmt: skip
    sizes = map(str, (port, count, count // 10, CONTAINERS))
    command = [sys.executable, "-m", "tests.bench.engine.servers", str(pem), *sizes]
    with subprocess.Popen(command, cwd=django_settings.BASE_DIR, stdout=subprocess.PIPE) as servers:
        assert servers.stdout is not None
        assert servers.stdout.readline() == b"ready\n"
        yield made
        servers.kill()


def use_of(process: subprocess.Popen[bytes]) -> tuple[float, int, int]:
    """Seconds of processor so far, MiB of memory, threads."""
    folder = Path(f"/proc/{process.pid}")
    ticks = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
    status = dict(
        line.split(":\t", 1)
        for line in (folder / "status").read_text().splitlines()
        if ":\t" in line
    )
    seconds = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return seconds, int(status["VmRSS"].split()[0]) // 1024, int(status["Threads"])


@pytest.mark.parametrize(
    ("nodes", "seconds", "watchers"),
    [
        (20, 8, 1),
        pytest.param(500, 60, 1, marks=pytest.mark.bench),
        pytest.param(500, 60, 2, marks=pytest.mark.bench),
    ],
    indirect=["nodes"],
)
def test_nodes_are_looked_at_in_every_beat(
    nodes: list[Node], seconds: int, watchers: int, tmp_path: Path, figures: Figures
) -> None:
    panel = Panel(tmp_path)
    panel.environment |= {"BERTH_WATCH_EVERY": str(EVERY), "BERTH_NODE_TIMEOUT": "4"}
    answering = nodes[: -(len(nodes) // 10)]
    try:
        processes = [panel.watcher() for _ in range(watchers)]
        silent = Node.objects.filter(pk__in=[node.pk for node in nodes[len(answering) :]])
        others = Node.objects.exclude(pk__in=silent)
        until(lambda: not others.filter(seen_at=None).exists(), "seen", patience=120)
        until(lambda: not silent.filter(online=True).exists(), "given up", patience=120)
        before = [use_of(process) for process in processes]
        gaps = gaps_between_looks(seconds)
        after = [use_of(process) for process in processes]
    finally:
        panel.close()
    beats = [gap / EVERY for gap in gaps]
    middle, worst = median(beats), sorted(beats)[int(0.99 * len(beats))]
    figures(
        f"{len(nodes)} nodes, {len(nodes) // 10} of them hanging, {watchers} watcher processes",
        ["", "value"],
        [
            ["beats of 5 s between two looks at a node, median", middle],
            ["the same, slowest hundredth", worst],
            *(["cores used", (b[0] - a[0]) / seconds] for a, b in zip(before, after, strict=True)),
            *(["memory in MiB, threads", f"{use[1]}, {use[2]}"] for use in after),
        ],
        f"{CONTAINERS} containers on each, over {seconds} s",
    )
    assert set(Node.objects.filter(online=True)) == set(answering)
    assert not Container.objects.filter(node__in=answering).exclude(status="stopped").exists()
    assert middle <= GENEROUS


def gaps_between_looks(seconds: float) -> list[float]:
    """Seconds between two looks at the same node, for all nodes."""
    seen: dict[int, datetime] = {}
    gaps: list[float] = []
    until_then = time.monotonic() + seconds
    while time.monotonic() < until_then:
        time.sleep(0.5)
        looks: Any = Node.objects.exclude(seen_at=None).values_list("pk", "seen_at")
        for pk, at in looks:
            if pk in seen and at != seen[pk]:
                gaps.append((at - seen[pk]).total_seconds())
            seen[pk] = at
    return gaps
