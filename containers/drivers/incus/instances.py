"""An instance as Incus describes it, and what the panel notes on it to know it again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from uuid import uuid4

from containers.drivers import Conflict, Power, Refused, Spec

# The panel's own notes; `Spec.labels` are kept as `user.berth.label.<name>`.
ID = "user.berth.id"  # the same on whichever node the container is
STATE = "user.berth.state"
MOVE = "user.berth.move"  # the move of which this is the source, or the copy
SSH_KEY = "user.berth.ssh-key"
_HOSTNAME = "user.berth.hostname"
_IMAGE = "user.berth.image"
_LABEL = "user.berth.label."

SILENT = "silent"  # the key that marks an instance of which Incus said nothing

NEW = "new"  # whole as soon as Incus has unpacked it
ARRIVING = "arriving"  # a copy that nobody has verified yet
WHOLE = "whole"

_UNPACKED = {
    "volatile.apply_template",
    "volatile.idmap.current",
    "volatile.last_state.power",
}

_POWERS = {
    "Running": Power.RUNNING,
    "Ready": Power.RUNNING,
    "Frozen": Power.RUNNING,
    "Thawed": Power.RUNNING,
    "Stopped": Power.STOPPED,
    "Error": Power.ERROR,
}


@dataclass(frozen=True)
class IncusInstance:
    """One instance of the panel's project."""

    raw: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.raw["name"])

    @property
    def config(self) -> Mapping[str, str]:
        return self.raw["config"] or {}

    @property
    def power(self) -> Power:
        return _POWERS.get(self.raw["status"], Power.BUSY)

    @property
    def is_paused(self) -> bool:
        """Whether somebody on the node has frozen it: it hears nothing until it goes on."""
        return bool(self.raw["status"] == "Frozen")

    @property
    def is_ours(self) -> bool:
        return ID in self.config

    @property
    def identity(self) -> tuple[str, ...]:
        """Tells it from another of the same name, and from itself before the panel's last note."""
        marks = (self.config.get(key, "") for key in (ID, STATE, MOVE))
        return str(self.raw["created_at"]), *marks

    @property
    def is_silent(self) -> bool:
        """Whether Incus says nothing of it but that it is there."""
        return SILENT in self.raw

    @property
    def is_unpacked(self) -> bool:
        """Incus notes `apply_template` when all files are there and removes it in the first start,
        after it has noted `idmap.current`; `last_state.power` comes once it runs."""
        return bool(_UNPACKED & self.config.keys())

    @property
    def is_whole(self) -> bool:
        state = self.config.get(STATE)
        return self.is_ours and (state == WHOLE or (state == NEW and self.is_unpacked))

    @property
    def is_by_hand(self) -> bool:
        """Whether somebody else made it, and Incus is done with it."""
        return not self.is_ours and self.is_unpacked

    @property
    def base_image(self) -> str:
        """The fingerprint of the image that it was made of; "" where it was none."""
        return self.config.get("volatile.base_image", "")

    @property
    def is_container(self) -> bool:
        return bool(self.raw["type"] == "container")

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left for the panel to do once Incus has unpacked it."""
        return self.config.get(STATE) == WHOLE or self.has_cloud_init or SSH_KEY not in self.config

    @property
    def has_cloud_init(self) -> bool:
        return self.config.get("image.variant") == "cloud"

    @property
    def cards(self) -> set[str]:
        """What the network cards that it was given are called inside."""
        return {
            device.get("name") or self.config.get(f"volatile.{key}.name", key)
            for key, device in self.raw["expanded_devices"].items()
            if device["type"] == "nic"
        }

    @property
    def address(self) -> str:
        """Its address in the network: of IPv4 where it has one."""
        networks = (self.raw.get("state") or {}).get("network") or {}
        found = [
            ip_address(each["address"].partition("%")[0])
            for name, network in networks.items()
            if name != "lo"
            for each in network["addresses"]
            if each["scope"] == "global"
        ]
        return str(min(found, key=lambda address: address.version)) if found else ""

    @property
    def labels(self) -> dict[str, str]:
        """Those that it was made or claimed with."""
        found = {key: value for key, value in self.config.items() if key.startswith(_LABEL)}
        return {key.removeprefix(_LABEL): value for key, value in found.items()}

    def spec(self) -> Spec:
        """What it was made to be, with the limits that it has now, be they a profile's."""
        config = self.raw["expanded_config"]
        devices = self.raw["expanded_devices"].values()
        size = next((each.get("size", "") for each in devices if each.get("path") == "/"), "")
        cpus = config.get("limits.cpu", "")
        return Spec(
            name=self.name,
            hostname=config.get(_HOSTNAME, ""),
            image=config.get(_IMAGE, ""),
            cpus=int(cpus) if cpus.isdigit() else 0,
            memory_mb=_bytes(config.get("limits.memory", "")) // 2**20,
            disk_gb=_bytes(size) // 2**30,
            ssh_key=config.get(SSH_KEY, ""),
            labels=self.labels,
        )


def silent(name: str, location: str) -> dict[str, Any]:
    """What stands for an instance of which nothing is known but that it is there."""
    return {"name": name, "status": "Error", "location": location, "config": {}, SILENT: True}


def _bytes(size: str) -> int:
    """What a size as Incus writes it stands for; 0 where it is relative or none."""
    found = re.fullmatch(r"(\d+)([kKMGTPE]?)(i?)B?", size.strip())
    if not found:
        return 0
    number, prefix, binary = found.groups()
    power = " KMGTPE".index(prefix.upper() or " ")
    return int(number) * int((1024 if binary else 1000) ** power)


def label_notes(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels as they are noted on an instance."""
    return {f"{_LABEL}{name}": value for name, value in labels.items()}


def creation(spec: Spec, pool: str, image: Mapping[str, Any]) -> dict[str, Any]:
    """What to ask Incus for. `image` is one that the node has; {} where it is to be fetched."""
    config = {
        ID: uuid4().hex,
        STATE: NEW,
        _HOSTNAME: spec.hostname,
        _IMAGE: spec.image,
        "limits.cpu": str(spec.cpus),
        "limits.memory": f"{spec.memory_mb}MiB",
        **label_notes(spec.labels),
    }
    if spec.ssh_key:
        config[SSH_KEY] = spec.ssh_key
    # The kind of a fetched image is not known yet; a system without cloud-init ignores this.
    if spec.source or image["properties"].get("variant") == "cloud":
        config["cloud-init.user-data"] = _first_boot(spec)
    return {
        "name": spec.name,
        "type": "container",
        "source": _from_server(spec) or {"type": "image", "fingerprint": image["fingerprint"]},
        "config": config,
        "devices": {
            "root": {"type": "disk", "path": "/", "pool": pool, "size": f"{spec.disk_gb}GiB"}
        },
    }


def _from_server(spec: Spec) -> dict[str, str]:
    """Where the node is to fetch the image; {} where it has it."""
    if spec.source is None:
        return {}
    return {
        "type": "image",
        "mode": "pull",
        "server": spec.source.url,
        "protocol": spec.source.protocol,
        "certificate": spec.source.certificate,
        "alias": spec.alias,
    }


def _first_boot(spec: Spec) -> str:
    """For cloud-init; all JSON is YAML."""
    settings: dict[str, Any] = {"hostname": spec.hostname, "manage_etc_hosts": True}
    if spec.ssh_key:
        settings |= {"ssh_authorized_keys": [spec.ssh_key], "disable_root": False}
    return f"#cloud-config\n{json.dumps(settings)}\n"


def copy_of(here: IncusInstance, pool: str) -> dict[str, Any]:
    """What a copy on another server is to be. Its network cards keep their addresses, its
    disk comes from that server's pool."""
    kept = {
        key: value
        for key, value in here.config.items()
        if not key.startswith("volatile.")
        or key == "volatile.base_image"
        or key.endswith(".hwaddr")
    }
    devices = {
        name: {**device, "pool": pool} if device.get("path") == "/" else device
        for name, device in here.raw["devices"].items()
    }
    return {
        "name": here.name,
        "type": "container",
        "architecture": here.raw["architecture"],
        "profiles": here.raw["profiles"],
        "devices": devices,
        "config": {**kept, STATE: ARRIVING},
    }


def refuse_unless_stopped(found: IncusInstance) -> None:
    if found.power is Power.BUSY:
        raise Conflict(f"{found.name} is busy: {found.raw['status']}")
    if found.power is not Power.STOPPED:
        raise Refused(f"{found.name} is {found.power}", "The container still runs: stop it first.")
