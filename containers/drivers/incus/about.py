"""What a server is and has, and whether the panel can work with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from containers.drivers import DriverError, Unreachable

from .client import Client
from .errors import NotTrusted

# What the driver asks for that Incus has not always had; all of it is in 6.0.
NEEDED = {
    "api_filtering_extended": "list the containers of one member",
    "certificate_self_renewal": "renew the panel's certificate",
    "instance_get_full": "tell all of a container in one answer",
    "projects_restricted_cluster_target": "choose the member of a cluster",
}
_OF_A_SERVER: dict[type[DriverError], str] = {
    Unreachable: "The server does not answer.",
    NotTrusted: "The server does not let the panel in.",
}


@dataclass(frozen=True)
class Pool:
    """A storage pool. Sizes in bytes."""

    name: str
    driver: str
    used: int
    total: int


@dataclass(frozen=True)
class Member:
    """A member of a cluster. `status` in Incus' words: Online, Offline, Evacuated, …"""

    name: str
    address: str
    status: str
    message: str

    @property
    def is_online(self) -> bool:
        return self.status == "Online"


@dataclass(frozen=True)
class Image:
    """A system that containers can be made from, under one of its names. `size` in bytes."""

    alias: str
    description: str
    architecture: str
    has_cloud_init: bool
    size: int


@dataclass(frozen=True)
class About:
    """One server, or one cluster as the member that was asked sees it. `pool` is None where
    the pool that was asked for does not exist; `members` is empty outside of a cluster."""

    version: str
    name: str
    fingerprint: str
    architectures: tuple[str, ...]
    extensions: frozenset[str]
    pool: Pool | None
    members: tuple[Member, ...]
    images: tuple[Image, ...]


def describe(client: Client, pool: str = "default") -> About:
    """Raises Unreachable, and Refused where the panel may not see its project."""
    server = client.get("/1.0")
    environment = server.get("environment") or {}
    if server["auth"] != "trusted":
        raise NotTrusted(f"{client.server.address}: it does not accept the panel's certificate")
    client.get(f"/1.0/projects/{client.server.project}")
    return About(
        version=environment["server_version"],
        name=environment["server_name"],
        fingerprint=environment["certificate_fingerprint"],
        architectures=tuple(environment["architectures"]),
        extensions=frozenset(server["api_extensions"]),
        pool=_pool(client, pool),
        members=tuple(members(client)) if environment["server_clustered"] else (),
        images=tuple(_images(client)),
    )


def members(client: Client) -> Iterator[Member]:
    """The members of a cluster, those that are off-line too."""
    for url in client.get("/1.0/cluster/members"):
        # A restricted certificate gets the list without what is in it.
        found = client.get(f"/1.0/cluster/members/{url.rpartition('/')[2]}")
        yield Member(found["server_name"], found["url"], found["status"], found["message"])


def in_words(error: DriverError) -> str:
    """To an administrator who adds a server. It is no node yet: no work goes on once it is back."""
    sentence = error.sentence
    if sentence == type(error).sentence:
        sentence = _OF_A_SERVER.get(type(error), sentence)
    return f"{sentence} ({error.detail})"


def obstacles(client: Client, pool: str = "default") -> list[str]:
    """Why the panel cannot work with this server, in words for an administrator; none if it
    can. Never raises for what a server does."""
    try:
        about = describe(client, pool)
    except DriverError as error:
        return [in_words(error)]
    except (KeyError, TypeError) as error:
        return [f"This is not an Incus server that the panel knows: {error!r} is missing."]
    found = [
        f"Incus {about.version} is too old: it cannot {use}."
        for extension, use in NEEDED.items()
        if extension not in about.extensions
    ]
    if about.pool is None:
        found.append(f"There is no storage pool {pool!r}.")
    return found


def _pool(client: Client, name: str) -> Pool | None:
    path = f"/1.0/storage-pools/{quote(name, safe='')}"
    found = client.find(path)
    if found is None:
        return None
    space = client.get(f"{path}/resources")["space"]
    return Pool(name, found["driver"], space.get("used", 0), space.get("total", 0))


def _images(client: Client) -> Iterator[Image]:
    images: list[dict[str, Any]] = client.get("/1.0/images", recursion=1)
    for image in images:
        for alias in image["aliases"]:
            if image["type"] == "container":
                yield Image(
                    alias["name"],
                    image["properties"].get("description", ""),
                    image["architecture"],
                    image["properties"].get("variant") == "cloud",
                    image["size"],
                )
