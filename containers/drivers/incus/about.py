"""What a server is and has, and whether the panel can work with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
class About:
    """One server, or one cluster as the member that was asked sees it; `members` is empty outside
    of a cluster. `obstacles` are why the panel cannot work with it, in words for an administrator;
    where it cannot be asked, nothing else is known."""

    name: str = ""
    members: tuple[Member, ...] = ()
    obstacles: tuple[str, ...] = ()


def describe(client: Client, pool: str = "default") -> About:
    """What can be said of a server on which containers would get their disks from `pool`. Never
    raises for what the server does."""
    try:
        return _about(client, pool)
    except DriverError as error:
        return About(obstacles=(in_words(error),))
    except (KeyError, TypeError) as error:
        missing = f"This is not an Incus server that the panel knows: {error!r} is missing."
        return About(obstacles=(missing,))


def _about(client: Client, pool: str) -> About:
    server = client.get("/1.0")
    if server["auth"] != "trusted":
        raise NotTrusted(f"{client.server.address}: it does not accept the panel's certificate")
    client.get(f"/1.0/projects/{client.server.project}")
    environment = server["environment"]
    obstacles = [
        f"Incus {environment['server_version']} is too old: it cannot {use}."
        for extension, use in NEEDED.items()
        if extension not in server["api_extensions"]
    ]
    if client.find(f"/1.0/storage-pools/{quote(pool, safe='')}") is None:
        obstacles.append(f"There is no storage pool {pool!r}.")
    return About(
        name=environment["server_name"],
        members=tuple(members(client)) if environment["server_clustered"] else (),
        obstacles=tuple(obstacles),
    )


def members(client: Client) -> Iterator[Member]:
    """The members of a cluster, those that are off-line too."""
    for url in client.get("/1.0/cluster/members"):
        # A restricted certificate gets the list without what is in it.
        found = client.get(f"/1.0/cluster/members/{url.rpartition('/')[2]}")
        yield Member(found["server_name"], found["url"], found["status"], found["message"])


def in_words(error: DriverError) -> str:
    """An error, for an administrator who adds a server. That is no node yet, so sentences that
    promise to go on with the work as soon as the node is back are replaced."""
    sentence = error.sentence
    if sentence == type(error).sentence:
        sentence = _OF_A_SERVER.get(type(error), sentence)
    return f"{sentence} ({error.detail})"
