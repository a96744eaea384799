"""A container in repair, and its disk."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings
from django.urls import reverse

from containers.connect import simulated
from containers.models import Container, Node
from containers.statuses import Status
from panel.models import User
from tests.cast import ContainerFactory


@dataclass(frozen=True)
class Disk:
    """What is in a container, reached without the panel, and the addresses of its files."""

    container: Container

    @property
    def root(self) -> Path:
        node, name = self.container.node, self.container.instance_name
        assert node is not None
        path: Path = settings.DATA / "nodes" / node.name / "instances" / name / "rootfs"
        return path

    def read(self, path: str) -> bytes:
        return (self.root / path.lstrip("/")).read_bytes()

    def write(self, path: str, content: bytes) -> None:
        """As somebody else who has it in repair would."""
        assert self.container.node is not None
        driver = simulated(self.container.node)
        driver.write_file(self.container.instance_name, path, BytesIO(content))

    def has(self, path: str) -> bool:
        return (self.root / path.lstrip("/")).exists()

    def url(self, page: str, path: str) -> str:
        """`page` is the name of its address: files, file_edit, …"""
        place = reverse(f"containers:{page}", args=[self.container.pk])
        return f"{place}?path={quote(path, errors='surrogateescape')}"

    def history(self) -> list[tuple[str, str]]:
        """What was done to its files, oldest first."""
        return list(self.container.file_changes.order_by("pk").values_list("did", "path"))


@pytest.fixture
def repairing(lena: User, node: Node) -> Container:
    """Lena's, in repair on `node`."""
    return ContainerFactory.create(customer=lena, node=node, name="legacy", status=Status.REPAIRING)


@pytest.fixture
def disk(repairing: Container) -> Disk:
    return Disk(repairing)
