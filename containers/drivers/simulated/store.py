"""What a simulated node keeps on disk: one lock, and files that are replaced as a whole.

In the node's folder:

    node.json               what the node has, its pace, its faults
    journal.jsonl           one line for each effect that took place
    instances/<name>/       a whole container: config.json, state.json, rootfs/
    creating/<name>/        one that is being created
    arriving/<uid>.<work>/  one that is being moved in
    trash/                  what is being deleted
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from uuid import uuid4
from zlib import crc32

from containers.drivers import DriverError, NoRoom, Power, Refused, Spec, Unreachable, is_name

from .chroot import room_errors
from .rootfs import Rootfs


class Doing(StrEnum):
    CREATE = "create"
    START = "start"
    STOP = "stop"
    FORCE = "force"
    DELETE = "delete"
    MOVE = "move"


@dataclass(frozen=True)
class Faults:
    """What is wrong with a node. `unplugged`: no answer. `hanging`: no answer, and only after
    the whole time-out. `slow`: five times as slow. `failing`: refuses all work. `full`: no
    room for another container or file."""

    unplugged: bool = False
    slow: bool = False
    failing: bool = False
    full: bool = False
    hanging: bool = False


@dataclass(frozen=True)
class Settings:
    """What `node.json` holds. `pace` multiplies every duration; 0 means at once."""

    cpus: int
    memory_mb: int
    disk_gb: int
    images: list[str]
    pace: float = 1.0
    faults: Faults = field(default_factory=Faults)


@dataclass
class Work:
    """What an instance is busy with. `until` is None where it never ends by itself."""

    doing: Doing
    since: float
    until: float | None
    target: str = ""
    id: str = field(default_factory=lambda: uuid4().hex)

    @property
    def is_due(self) -> bool:
        return self.until is not None and self.until <= time.time()


@dataclass(frozen=True)
class Failure:
    """How a piece of work ended instead."""

    work: str
    error: str
    detail: str

    def as_error(self) -> DriverError:
        kinds: dict[str, type[DriverError]] = {"NoRoom": NoRoom, "Unreachable": Unreachable}
        return kinds.get(self.error, Refused)(self.detail)


@dataclass
class State:
    """What `state.json` holds. `uid` tells one container from another of the same name;
    `booted` is when it last began to run; `by_hand` says that it is not the panel's."""

    uid: str
    power: Power
    address: str = ""
    work: Work | None = None
    failed: Failure | None = None
    booted: float = 0.0
    by_hand: bool = False

    def set_power(self, power: Power) -> None:
        """Be in that power state from now on."""
        if power is Power.RUNNING and self.power is not Power.RUNNING:
            self.booted = time.time()
        self.power = power


@dataclass(frozen=True)
class Config:
    """What `config.json` holds: what was ordered, and how this one differs from the others.
    `pace` replaces the node's; one that is `stubborn` ignores a gentle stop for ever."""

    spec: Spec
    pace: float | None = None
    stubborn: bool = False


class Store:
    """The files of the node at `root`. What changes them wants the lock held."""

    def __init__(self, root: Path, timeout: float) -> None:
        self.root = Path(os.path.realpath(root))
        self.timeout = timeout
        self.instances = self.root / "instances"
        self.creating = self.root / "creating"
        self.arriving = self.root / "arriving"
        self.trash = self.root / "trash"
        self.journal = self.root / "journal.jsonl"

    def install(self, settings: Settings) -> None:
        """Make the folders, where they are missing, and the settings."""
        for folder in (self.root, self.instances, self.creating, self.arriving, self.trash):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.journal.touch()
        self.configure(settings)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one, in any thread or process, who changes the node."""
        deadline = time.monotonic() + self.timeout
        try:
            descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError as error:
            raise Unreachable(f"there is no node at {self.root}") from error
        try:
            while not try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise Unreachable(f"{self.root.name} is locked for {self.timeout} s")
                time.sleep(0.005)
            with room_errors(self.root.name):
                yield
        finally:
            os.close(descriptor)

    def settings(self) -> Settings:
        try:
            stored = _read(self.root / "node.json")
        except FileNotFoundError as error:
            raise Unreachable(f"there is no node at {self.root}") from error
        return Settings(**(stored | {"faults": Faults(**stored["faults"])}))

    def configure(self, settings: Settings) -> None:
        _write(self.root / "node.json", asdict(settings))

    def names(self) -> list[str]:
        """Whatever is there or is being created, ours or not."""
        return sorted(
            {folder.name for folder in (*self.instances.iterdir(), *self.creating.iterdir())}
        )

    def state(self, name: str) -> State | None:
        """The state of a container that is whole, and ours."""
        state = self.state_of_any(name)
        return None if state is None or state.by_hand else state

    def state_of_any(self, name: str) -> State | None:
        """The same, also of one made by hand."""
        return read_state(self.instances / name) if is_name(name) else None

    def creation(self, name: str) -> State | None:
        """The state of one that is being created, or failed to be."""
        return read_state(self.creating / name) if is_name(name) else None

    def save(self, name: str, state: State) -> None:
        write_state(self.instances / name, state)

    def config(self, name: str) -> Config:
        return read_config(self.instances / name)

    def labels(self, name: str) -> Mapping[str, str]:
        """Those of one that is whole, or is being created, and may be gone by now."""
        for folder in (self.instances, self.creating):
            with suppress(OSError, ValueError, KeyError, TypeError):
                return read_config(folder / name).spec.labels
        return {}

    def rootfs(self, name: str) -> Rootfs:
        return Rootfs(self.instances / name / "rootfs", self.instances / name / "aside")

    def is_free(self, name: str) -> bool:
        """Whether a container can be given this name; a stranger's folder keeps its own."""
        return is_name(name) and not os.path.lexists(self.instances / name)

    def free_address(self) -> str:
        states = map(read_state, self.instances.iterdir())
        taken = {state.address for state in states if state}
        network = ip_network(f"10.{20 + crc32(self.root.name.encode()) % 200}.0.0/16")
        hosts = map(str, network.hosts())
        return next(host for host in hosts if host not in taken and not host.endswith(".1"))

    def record(self, name: str, did: str, work: str) -> None:
        """Add an effect to the journal, once."""
        if not self.recorded(work):
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            line = json.dumps({"at": at, "instance": name, "did": did, "work": work})
            with self.journal.open("a") as journal:
                journal.write(f"{line}\n")

    def recorded(self, work: str) -> bool:
        return work.encode() in self.journal.read_bytes()

    def forget_copies(self, uid: str) -> None:
        """Delete what has arrived here of a container, and has not become whole."""
        for left in self.arriving.glob(f"{uid}.*"):
            shutil.rmtree(left, ignore_errors=True)

    def copies(self) -> dict[Path, str]:
        """What has arrived here and has not become whole, and the name that it is to bear."""
        found = {}
        for left in self.arriving.iterdir():
            with suppress(FileNotFoundError):  # it has become whole since
                found[left] = read_config(left).spec.name
        return found

    def discard(self, folder: Path) -> None:
        """Make a folder be gone at once, then delete it, and what a crash has left of others."""
        with suppress(FileNotFoundError):
            folder.rename(self.trash / uuid4().hex)
        for left in self.trash.iterdir():
            shutil.rmtree(left, ignore_errors=True)


def try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def read_config(folder: Path) -> Config:
    stored = _read(folder / "config.json")
    pace, stubborn = stored.pop("pace"), stored.pop("stubborn")
    return Config(Spec(**stored), pace, stubborn)


def write_config(folder: Path, config: Config) -> None:
    spec = {**vars(config.spec), "labels": dict(config.spec.labels), "source": None}
    _write(folder / "config.json", spec | {"pace": config.pace, "stubborn": config.stubborn})


def read_state(folder: Path) -> State | None:
    """None where there is none; one that cannot be read is a container in error."""
    try:
        stored = _read(folder / "state.json")
        work, failed = stored.pop("work"), stored.pop("failed")
        state = State(**(stored | {"power": Power(stored["power"])}))
        state.work = Work(**(work | {"doing": Doing(work["doing"])})) if work else None
        state.failed = Failure(**failed) if failed else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError):
        return State(uid="", power=Power.ERROR)
    return state


def write_state(folder: Path, state: State) -> None:
    _write(folder / "state.json", asdict(state))


def _read(path: Path) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(path.read_text())
    return stored


def _write(path: Path, value: dict[str, Any]) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(value, indent=1))
    new.replace(path)
