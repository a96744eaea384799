"""What one Incus server, or one member of a cluster, says: nothing here changes anything."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from typing import Any
from urllib.parse import quote

from containers.drivers import (
    DriverError,
    Instance,
    NoSuchInstance,
    Power,
    Resources,
    Spec,
    Unreachable,
    Usage,
)

from .addresses import Addresses
from .client import Client, Server
from .errors import NotTrusted
from .instances import Found, is_name
from .usage import of_instance, of_node

_MIB, _GIB = 2**20, 2**30


class NodeReader:
    """The node at `server`; in a cluster, the one member of that name. Containers get their
    disks from `pool`. Keeps connections open and remembers addresses: make one for a node and
    keep it. May be shared between threads."""

    def __init__(self, server: Server, *, member: str | None = None, pool: str = "default") -> None:
        self.server = server
        self.member = member
        self.pool = pool
        self.timeout = server.timeout
        self.client = Client(server)
        self._addresses = Addresses()

    @property
    def label(self) -> str:
        """The node, in the words of an error."""
        return f"{self.member} at {self.server.address}" if self.member else self.server.address

    @cached_property
    def at_member(self) -> dict[str, str | int]:
        """What to add to a question that a cluster is to answer for this member."""
        return {"target": self.member} if self.member else {}

    @property
    def _pool(self) -> str:
        return f"/1.0/storage-pools/{quote(self.pool, safe='')}"

    def resources(self) -> Resources:
        has, space = self._room()
        version = self.client.get("/1.0")["environment"]["server_version"]
        return Resources(
            cpus=has["cpu"]["total"],
            memory_mb=has["memory"]["total"] // _MIB,
            disk_gb=space["total"] // _GIB,
            version=f"Incus {version}",
        )

    def usage(self) -> dict[str, Usage]:
        # One call for all of them would take the longer the more there are: no time-out fits.
        running = [
            found for found in self.everything() if found.is_whole and found.power is Power.RUNNING
        ]
        pool = ThreadPoolExecutor(max_workers=4)
        try:
            asked = list(pool.map(lambda found: self._with_state(found.name), running))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        used = {found.name: used for found in asked if found and (used := of_instance(found))}
        return used | {"": of_node(*self._room())}

    def _room(self) -> tuple[dict[str, Any], dict[str, Any]]:
        has: dict[str, Any] = self.client.get("/1.0/resources", **self.at_member)
        return has, self.client.get(f"{self._pool}/resources", **self.at_member)["space"]

    def images(self) -> list[str]:
        found = self.client.get("/1.0/images", recursion=1)
        return sorted({alias["name"] for image in found for alias in image["aliases"]})

    def instances(self) -> dict[str, Instance]:
        found = [each for each in self.everything() if each.is_whole or each.is_by_hand]
        for each in self._addresses.due(found):
            self._with_state(each.name)
        return {
            each.name: Instance(
                each.name, each.power, self._addresses.of(each), by_hand=each.is_by_hand
            )
            for each in found
        }

    def unfinished(self) -> list[str]:
        return [each.name for each in self.everything() if each.is_ours and not each.is_whole]

    def everything(self) -> list[Found]:
        """Whatever is on the node in the panel's project, whole or not, ours or not."""
        if not self.member:
            raws = self.client.get("/1.0/instances", recursion=1)
        else:
            raws = [raw for raw in self._cluster(self.member) if raw["location"] == self.member]
        return [known for raw in raws if (known := self._known(raw))]

    def _cluster(self, member: str) -> list[dict[str, Any]]:
        """What is on a member, and maybe on others. In one call, unless another member hangs: that
        call would wait for all of them."""
        half = self.timeout / 2
        try:
            raws: list[dict[str, Any]] = self.client.get_within(half, "/1.0/instances", recursion=1)
        except NotTrusted:
            raise
        except Unreachable:
            return self._one_by_one(member, half)
        if not any(raw["location"] == member for raw in raws):
            self._check_member(member)
        return raws

    def _one_by_one(self, member: str, seconds: float) -> list[dict[str, Any]]:
        """Names and disks come from the cluster's database, whichever member hangs."""
        disks = self.client.get_within(seconds, f"{self._pool}/volumes/container", recursion=1)
        here = {disk["name"] for disk in disks if disk["location"] == member}
        elsewhere = {disk["name"] for disk in disks} - here
        urls = [url.partition("?")[0] for url in self.client.get("/1.0/instances")]
        asked = [url for url in urls if url.rpartition("/")[2] not in elsewhere]
        return [raw for url in asked if (raw := self.client.find(url))]

    def instance(self, name: str) -> Instance | None:
        # Its address comes with `instances`: Incus goes into the container to find it out, and
        # one that has just been started has none yet.
        found = self.look(name)
        if not (found and found.is_whole):
            return None
        return Instance(found.name, found.power, self._addresses.of(found))

    def look(self, name: str) -> Found | None:
        """What is on the node under this name, whole or not, ours or not."""
        if not is_name(name):
            return None
        return self._here(self.client.find(f"/1.0/instances/{name}"))

    def _with_state(self, name: str) -> Found | None:
        """The same, with addresses and use, which take longer to find out."""
        if not is_name(name):
            return None
        try:
            found = self._here(self.client.find(f"/1.0/instances/{name}", recursion=1))
        except Unreachable:
            raise
        except DriverError:
            return self.look(name)  # Incus fails to tell them just when an instance goes down
        if found:
            self._addresses.learn(found)
        return found

    def _here(self, raw: dict[str, Any] | None) -> Found | None:
        if raw is None or (self.member and raw["location"] != self.member):
            return None
        return Found(raw)

    def describe(self, name: str) -> Spec:
        found = self.whole_or_by_hand(name)
        spec = found.spec()
        return spec if spec.image else replace(spec, image=self._alias(found.base_image))

    def _alias(self, fingerprint: str) -> str:
        """What an image is called on the node; "" where it is not there, or has no name."""
        image = self.client.find(f"/1.0/images/{fingerprint}") if fingerprint else None
        names = sorted(alias["name"] for alias in image["aliases"]) if image else []
        return names[0] if names else ""

    def whole_or_by_hand(self, name: str) -> Found:
        """One that is whole, whoever made it. Raises NoSuchInstance."""
        found = self.look(name)
        if not (found and (found.is_whole or found.is_by_hand)):
            raise NoSuchInstance(f"{self.label} has no {name}")
        return found

    def whole(self, name: str) -> Found:
        """One that is a container of the panel's. Raises NoSuchInstance."""
        found = self.look(name)
        if not (found and found.is_whole):
            raise NoSuchInstance(f"{self.label} has no {name}")
        return found

    def _known(self, raw: dict[str, Any]) -> Found | None:
        """A server lists only the names of instances that it cannot ask about."""
        if raw["config"] is not None:
            return Found(raw)
        if self.member:
            self._check_member(self.member)
        return self.look(raw["name"])

    def _check_member(self, member: str) -> None:
        found = self.client.get(f"/1.0/cluster/members/{member}")
        if found["status"] == "Offline":
            raise Unreachable(f"{member}: {found['message']}")
