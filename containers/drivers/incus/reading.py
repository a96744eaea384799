"""What one Incus server, or one member of a cluster, says: nothing here changes anything."""

from __future__ import annotations

import random
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, TypedDict
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
    is_name,
)

from .addresses import Addresses
from .client import Client, Server
from .errors import NotTrusted
from .instances import IncusInstance, silent
from .usage import of_instance, of_node

_MIB, _GIB = 2**20, 2**30
_AT_ONCE = 16  # questions at once, where one container holds up the answer about all of them
_SILENT = 4  # so many containers may give no answer; with more, it is the node that does not


class AtMember(TypedDict, total=False):
    """What to add to a question that a cluster is to answer for one member."""

    target: str


class NodeReader:
    """The node at `server`; in a cluster, the one member of that name. Containers get their
    disks from `pool`. Keeps connections open and remembers addresses: make one for a node and
    keep it; several of one node may share its `addresses`. May be shared between threads."""

    def __init__(
        self,
        server: Server,
        *,
        member: str | None = None,
        pool: str = "default",
        addresses: Addresses | None = None,
    ) -> None:
        self.server = server
        self.member = member
        self.pool = pool
        self.timeout = server.timeout
        self.client = Client(server)
        self._addresses = addresses or Addresses()
        # The member of each instance, by its name, as of the last list that came in one call.
        self._listed_at: dict[str, str] = {}

    @property
    def label(self) -> str:
        """The node, in the words of an error."""
        return f"{self.member} at {self.server.address}" if self.member else self.server.address

    @cached_property
    def at_member(self) -> AtMember:
        """What a question that a cluster is to answer for this member is asked with."""
        return {"target": self.member} if self.member else {}

    @property
    def pool_url(self) -> str:
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
        used, missed = {}, 0
        pool = ThreadPoolExecutor(max_workers=4)
        try:
            ask = partial(self._soon_with_state, within=self.timeout / 2)
            for found in pool.map(ask, [each.name for each in running]):
                missed += isinstance(found, Unreachable)
                if isinstance(found, Unreachable) and missed > _SILENT:
                    raise found
                if isinstance(found, IncusInstance) and (told := of_instance(found)):
                    used[found.name] = told
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return used | {"": of_node(*self._room())}

    def _soon_with_state(self, name: str, *, within: float) -> IncusInstance | Unreachable | None:
        """The same as `_with_state`, but the error of one that gives no answer is returned: it does
        not keep the others from being read."""
        try:
            return self._with_state(name, within=within)
        except NotTrusted:
            raise
        except Unreachable as failure:
            return failure

    def _room(self) -> tuple[dict[str, Any], dict[str, Any]]:
        has: dict[str, Any] = self.client.get("/1.0/resources", **self.at_member)
        return has, self.client.get(f"{self.pool_url}/resources", **self.at_member)["space"]

    def images(self) -> list[str]:
        found = self.client.get("/1.0/images", recursion=1)
        return sorted({alias["name"] for image in found for alias in image["aliases"]})

    def instances(self) -> dict[str, Instance]:
        found = [
            each
            for each in self.everything()
            # The silent ones, too: what the panel does not find listed counts as missing.
            if each.is_whole or each.is_by_hand or each.is_silent
        ]
        for each in self._addresses.due(found):
            self._soon_with_state(each.name, within=self.timeout / 4)
        return {
            each.name: Instance(
                each.name,
                each.power,
                self._addresses.of(each),
                by_hand=each.is_by_hand,
                known=not each.is_silent,
                labels=each.labels,
            )
            for each in found
        }

    def unfinished(self) -> dict[str, bool]:
        return {
            each.name: not each.is_silent
            for each in self.everything()
            if each.is_silent or (each.is_ours and not each.is_whole)
        }

    def everything(self) -> list[IncusInstance]:
        """Whatever is on the node in the panel's project, whole or not, ours or not. Of one that
        gives no answer no more is known than that it is there."""
        if self.member:
            raws = [raw for raw in self._cluster(self.member) if raw["location"] == self.member]
        else:
            raws = self._server()
        return [known for raw in raws if (known := self._known(raw))]

    def _server(self) -> list[dict[str, Any]]:
        """What is on a server. In one call, unless one container holds that up: Incus waits five
        seconds for a monitor that hangs."""
        try:
            return self._listed()
        except NotTrusted:
            raise
        except Unreachable:
            return self._each(self.client.get("/1.0/instances", within=self.timeout / 4), "none")

    def _cluster(self, member: str) -> list[dict[str, Any]]:
        """What is on a member, and maybe on others. In one call, unless another member hangs: that
        call would wait for all of them."""
        try:
            raws = self._listed()
        except NotTrusted:
            raise
        except Unreachable:
            return self._one_by_one(member)
        self._listed_at = {raw["name"]: raw["location"] for raw in raws}
        if member not in self._listed_at.values():
            self._check_member(member)
        return raws

    def _listed(self) -> list[dict[str, Any]]:
        raws: list[dict[str, Any]] = self.client.get(
            "/1.0/instances", within=self.timeout / 2, recursion=1
        )
        return raws

    def _one_by_one(self, member: str) -> list[dict[str, Any]]:
        """Names and disks come from the cluster's database, whichever member hangs. What has its
        disk in another pool, and was never listed, is there only if it says so itself."""
        half, where = self.timeout / 2, dict(self._listed_at)
        for kind in ("container", "virtual-machine"):
            disks = self.client.get(f"{self.pool_url}/volumes/{kind}", within=half, recursion=1)
            where |= {disk["name"]: disk["location"] for disk in disks}
        urls = self.client.get("/1.0/instances", within=half)
        here = [url for url in urls if where.get(_name_in(url)) == member]
        unknown = [url for url in urls if _name_in(url) not in where]
        return self._each(here, member) + self._each(unknown, "")

    def _each(self, urls: Collection[str], location: str) -> list[dict[str, Any]]:
        """Asked one by one, as many as there is time for; the node itself is known to answer. One
        without an answer counts as being at `location`."""
        until = time.monotonic() + self.timeout / 4
        # In another order each time: else those at the end would never be asked.
        order = random.sample(list(urls), len(urls))

        def ask(url: str) -> dict[str, Any] | None:
            left = until - time.monotonic()
            try:
                if left > 0:
                    raw: dict[str, Any] | None = self.client.find(
                        url.partition("?")[0], within=left
                    )
                    return raw
            except NotTrusted:
                raise
            except Unreachable:
                pass
            return silent(_name_in(url), location)

        pool = ThreadPoolExecutor(max_workers=_AT_ONCE)
        try:
            return [raw for raw in pool.map(ask, order) if raw]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def instance(self, name: str) -> Instance | None:
        # Its address comes with `instances`: Incus goes into the container to find it out, and
        # one that has just been started has none yet.
        found = self.look(name)
        if not (found and found.is_whole):
            return None
        address = self._addresses.of(found)
        return Instance(found.name, found.power, address, labels=found.labels)

    def look(self, name: str) -> IncusInstance | None:
        """What is on the node under this name, whole or not, ours or not."""
        if not is_name(name):
            return None
        return self._here(self.client.find(f"/1.0/instances/{name}"))

    def _with_state(self, name: str, *, within: float) -> IncusInstance | None:
        """The same, with addresses and use, which take longer to find out."""
        if not is_name(name):
            return None
        url = f"/1.0/instances/{name}"
        try:
            found = self._here(self.client.find(url, within=within, recursion=1))
        except Unreachable:
            raise
        except DriverError:
            return self.look(name)  # Incus fails to tell them just when an instance goes down
        if found:
            self._addresses.learn(found)
        return found

    def _here(self, raw: dict[str, Any] | None) -> IncusInstance | None:
        if raw is None or (self.member and raw["location"] != self.member):
            return None
        return IncusInstance(raw)

    def describe(self, name: str) -> Spec:
        found = self.whole_or_by_hand(name)
        spec = found.spec()
        return spec if spec.image else replace(spec, image=self._alias(found.base_image))

    def _alias(self, fingerprint: str) -> str:
        """What an image is called on the node; "" where it is not there, or has no name."""
        image = self.client.find(f"/1.0/images/{fingerprint}") if fingerprint else None
        names = sorted(alias["name"] for alias in image["aliases"]) if image else []
        return names[0] if names else ""

    def whole_or_by_hand(self, name: str) -> IncusInstance:
        """One that is whole, whoever made it. Raises NoSuchInstance."""
        found = self.look(name)
        if not (found and (found.is_whole or found.is_by_hand)):
            raise NoSuchInstance(f"{self.label} has no {name}")
        return found

    def whole(self, name: str) -> IncusInstance:
        """One that is a container of the panel's. Raises NoSuchInstance."""
        found = self.look(name)
        if not (found and found.is_whole):
            raise NoSuchInstance(f"{self.label} has no {name}")
        return found

    def _known(self, raw: dict[str, Any]) -> IncusInstance | None:
        """An instance out of a list. Where the server could not ask about it, and listed no more
        than its name, it is asked for by itself."""
        if raw["config"] is not None:
            return IncusInstance(raw)
        if self.member:
            self._check_member(self.member)
        return self.look(raw["name"])

    def _check_member(self, member: str) -> None:
        found = self.client.get(f"/1.0/cluster/members/{member}")
        if found["status"] == "Offline":
            raise Unreachable(f"{member}: {found['message']}")


def _name_in(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]
