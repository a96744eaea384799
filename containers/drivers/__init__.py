"""What the panel may ask of a node, whichever kind of node it is.

A driver speaks to one node and knows no model, no request and no status: it takes and
returns the plain values below. Every call says *make it so* and is safe to repeat after
a crash at any point: starting what runs, creating what is there, deleting what is gone
all succeed and change nothing.

Calls that take time are generators. Each yields a `Progress` at least every second while
the node works, so that the caller can renew its lease, show how far the work is, or stop
listening. Leaving a generator early does not stop the node: ask again to find out.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import BinaryIO, Protocol

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")

MAX_PATH = 4096  # bytes
MAX_LINKS = 40  # symbolic links that are followed for one path, as in Linux
MAX_DEPTH = 100  # nested folders: every walk stays far from the limits of a process
MAX_LISTED = 10_000  # entries of one folder
MAX_COUNTED = 100  # entries of each folder in a list
MAX_DETAIL = 2000  # letters of the reason that a node gives


def is_name(name: str) -> bool:
    """Whether an instance can be called so, on a node of any kind."""
    return bool(_NAME.fullmatch(name))


class DriverError(Exception):
    """A node did not do what it was asked.

    `sentence` is for the customer: plain words, what to do next. `detail` is the technical
    reason, for staff, without the NULs that PostgreSQL would refuse, and of a length that fits a
    page. `final` says that asking again would bring the same answer.
    """

    sentence = "The node could not do this. It will be tried again."
    final = False

    def __init__(self, detail: str, sentence: str = "") -> None:
        self.detail = detail.replace("\0", "")[:MAX_DETAIL]
        super().__init__(self.detail)
        if sentence:
            self.sentence = sentence


class Unreachable(DriverError):
    """The node did not answer, or not in time: what it did is unknown, so look again."""

    sentence = "The node does not answer. The work goes on as soon as it is back."


class BrokenOff(DriverError):
    """The node broke off in the middle: what it did is unknown. Unlike one that is Unreachable it
    answers otherwise, so these tries are counted, and have an end."""

    sentence = "The node broke off in the middle of this. It will be tried again."


class Refused(DriverError):
    """The node understood and said no."""

    sentence = "The node refused. If it happens twice, it is a case for support."
    final = True


class NoRoom(Refused):
    """The node has no disk, memory or processor left for this."""

    sentence = "The node has no room left for this. An administrator has to make room."


class NoSuchImage(Refused):
    """The node cannot get the system that was ordered."""

    sentence = "The node does not have this system. An administrator has to put it there."


class NoImageServer(DriverError):
    """The node could not fetch the system, as the image server does not answer it or stopped in the
    middle. The node itself is well."""

    sentence = "The server that this system comes from does not answer. It will be tried again."


class NoSuchInstance(Refused):
    """The node does not have this container."""

    sentence = "The node does not have this container."


class Conflict(DriverError):
    """Something else is under way on the node for the same instance: wait, then look."""

    sentence = "The node is still busy with this container. It will be tried again."


class BadPath(DriverError):
    """No such file, or it cannot be used this way (a folder read as a file, a link out)."""

    sentence = "There is no such file."
    final = True


class FileChanged(DriverError):
    """The file is no longer the one that was read."""

    sentence = "The file has changed since you opened it."
    final = True


class Power(StrEnum):
    """What a node reports of an instance."""

    RUNNING = "running"
    STOPPED = "stopped"
    BUSY = "busy"  # on its way from one to the other
    ERROR = "error"  # the node itself cannot tell


def differ(found: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether an instance that has the labels `found` was made for another container than the one
    with `labels`. A label that the instance does not have is no difference."""
    return any(found.get(mark, value) != value for mark, value in labels.items())


@dataclass(frozen=True)
class Instance:
    """One container as its node sees it now. `by_hand` says that the panel neither made nor
    claimed it: it is somebody else's. Of one that is not `known` the node can only say that it is
    there, not whether it is whole or whose it is. `labels` are those that it was created or claimed
    with."""

    name: str
    power: Power
    address: str = ""
    by_hand: bool = False
    known: bool = True
    labels: Mapping[str, str] = field(default_factory=dict, compare=False)

    def is_another(self, labels: Mapping[str, str]) -> bool:
        """Whether it was made for another container than the one of these labels: somebody has
        renamed it, or a database has gone back in time since."""
        return differ(self.labels, labels)


@dataclass(frozen=True)
class ImageSource:
    """An image server that nodes fetch from: its https address, what it speaks (`incus` or
    `simplestreams`), and its certificate (PEM) where no public authority vouches for it."""

    url: str
    protocol: str
    certificate: str = ""


@dataclass(frozen=True)
class Spec:
    """What to create. Memory in MiB, disk in GiB. `image` is an alias on the node; with a
    `source` it is `server:alias`, and that alias is fetched from there."""

    name: str
    hostname: str
    image: str
    cpus: int
    memory_mb: int
    disk_gb: int
    ssh_key: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    source: ImageSource | None = None

    @property
    def alias(self) -> str:
        """What its image is called on the node, or on its image server."""
        return self.image.partition(":")[2] if self.source else self.image


@dataclass(frozen=True)
class Resources:
    """What a node has in all. Memory in MiB, disk in GiB."""

    cpus: int
    memory_mb: int
    disk_gb: int
    version: str = ""


@dataclass(frozen=True)
class Usage:
    """What a running instance, or a node as a whole, uses.

    `memory_bytes` (without caches) and `disk_bytes` are what it holds now. The others are counters
    that begin at 0 at each boot and grow; where a network card is taken out, those of the network
    drop by what it has counted. What a node cannot tell is None; of an instance every node can tell
    the processor, the memory and the network.
    """

    cpu_seconds: float | None
    memory_bytes: int
    disk_bytes: int | None
    received_bytes: int | None
    sent_bytes: int | None


@dataclass(frozen=True)
class Progress:
    """How far the node is: 0 to 100, or None where it cannot tell; `step` in plain words. `begun`
    is False while the node first ends something else, and was not asked for this work yet. `copied`
    is how much it has copied by now, such as 1.09GB, where it can tell."""

    percent: int | None = None
    step: str = ""
    begun: bool = True
    copied: str = ""

    @property
    def words(self) -> str:
        """What is shown of it, beside the percentage."""
        return f"{self.step}, {self.copied} so far" if self.copied else self.step


class FileKind(StrEnum):
    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    OTHER = "other"  # devices, sockets, pipes: shown, never opened

    @classmethod
    def of(cls, mode: int) -> FileKind:
        """The kind of a file whose `st_mode` is this."""
        if stat.S_ISREG(mode):
            return cls.FILE
        if stat.S_ISDIR(mode):
            return cls.FOLDER
        return cls.LINK if stat.S_ISLNK(mode) else cls.OTHER


@dataclass(frozen=True)
class FileInfo:
    """One file of a container. `size` in bytes (a folder: number of entries, or MAX_COUNTED + 1
    where it has more).

    `mode` holds the permission bits only (0o644); `uid` and `gid` are as seen inside the
    container; `version` changes whenever the content does; `target` is where a link points.
    """

    name: str
    kind: FileKind
    size: int
    mode: int
    uid: int
    gid: int
    modified: datetime | None = None
    version: str = ""
    target: str = ""

    @property
    def items(self) -> str:
        """How many entries a folder has."""
        return f"{MAX_COUNTED}+" if self.size > MAX_COUNTED else str(self.size)


class Driver(Protocol):
    """One node. Every method may raise `Unreachable`, and what has to do with files `BrokenOff`;
    none waits longer than `timeout` seconds for a single answer of the node."""

    timeout: float

    def resources(self) -> Resources:
        """What the node has in all."""

    def images(self) -> list[str]:
        """The images it can create from."""

    def instances(self) -> dict[str, Instance]:
        """Every whole instance on the node by name, in one call: the panel's, and those that
        somebody made by hand. For the latter only `describe` and `claim` work."""

    def unfinished(self) -> dict[str, bool]:
        """The names under which the panel has begun a creation or a move here that is no whole
        instance yet, whether the node is still at it or not. True for what is certainly not whole;
        False for what may be, as it gives no answer now."""

    def instance(self, name: str) -> Instance | None:
        """One instance of the panel's, or None where the node is sure that it has none of
        that name."""

    def describe(self, name: str) -> Spec:
        """What an instance is, whoever made it: its host name, image and limits, as far as the
        node can tell, without a source. "" or 0 stands for what it does not know or has no
        limit for. Raises NoSuchInstance."""

    def claim(self, name: str, labels: Mapping[str, str]) -> None:
        """Make one the panel's, whoever made it, with these labels and no others, running or
        stopped, and change nothing else of it. Raises NoSuchInstance, and Refused for what is no
        container."""

    def usage(self) -> dict[str, Usage]:
        """What every running instance of the panel's uses, by name, and under "" the node
        itself with all that runs on it. Where each instance has to be asked about by itself, this
        takes the longer the more of them run."""

    def create(self, spec: Spec) -> Iterator[Progress]:
        """Make `spec` exist, stopped. What a broken try left behind is completed or replaced;
        an instance that exists whole is left as it is. Raises NoRoom, NoSuchImage,
        NoImageServer, Refused."""

    def start(self, name: str) -> Iterator[Progress]:
        """Make it run. Raises NoSuchInstance, Refused, Conflict."""

    def stop(self, name: str, *, force: bool = False) -> Iterator[Progress]:
        """Make it stop: asks the system inside and waits as long as it takes; with `force`,
        pulls the plug, also where a gentle stop is already under way.
        Raises NoSuchInstance, Refused, Conflict."""

    def delete(self, name: str, *, labels: Mapping[str, str] = {}) -> Iterator[Progress]:
        """Make it be gone, whole or unfinished, unless it was made for another container than the
        one of these labels. Raises Refused where it still runs."""

    def check_move(self, name: str, target: Driver) -> None:
        """Raise what `move` to `target` would meet at once, whether the instance runs or not:
        Refused for a node of another kind, with another processor or without the storage pool,
        NoRoom, NoSuchInstance. Changes nothing."""

    def move(self, name: str, target: Driver) -> Iterator[Progress]:
        """Move a stopped instance to `target`, a node of the same kind. At no moment does
        it exist whole on neither node; when this ends it is on exactly one, `target`. A
        failure leaves it here. Raises NoSuchInstance (on neither), NoRoom, Refused."""

    def give_up_move(self, name: str, target: Driver) -> Iterator[Progress]:
        """End a move to `target` that is given up, if the nodes are still at it, and delete the
        copy that it has left there. Does nothing where the instance is not whole here, nor where
        somebody has verified the copy."""

    def list_folder(self, name: str, path: str) -> list[FileInfo]:
        """The entries of a folder of a stopped instance, folders first, then by name; of more
        than MAX_LISTED as many, whichever come first on its disk. `path` is absolute inside
        the container; links are followed inside it only. Raises BadPath, NoSuchInstance, and
        Conflict where it is not stopped; so do the calls below."""

    def file_info(self, name: str, path: str, *, follow: bool = True) -> FileInfo:
        """One file or folder. A link at its end is followed, unless it is itself asked about, as an
        entry of a folder."""

    def read_file(self, name: str, path: str) -> Iterator[bytes]:
        """The content in pieces, so that a large file never stands in memory."""

    def write_file(
        self, name: str, path: str, content: BinaryIO, *, version: str | None = None
    ) -> FileInfo:
        """Put `content` at `path`, whole or not at all. A file that was there keeps its mode
        and owner; a new one is 0644 and root's. With `version`, only if the file still has
        it ("" means: only if there is none); raises FileChanged, NoRoom."""

    def make_folder(self, name: str, path: str) -> None:
        """Make one folder, 0755 and root's. Raises BadPath where something is there."""

    def rename(self, name: str, path: str, to: str) -> None:
        """Give a file, folder or link another path. Raises BadPath where `to` is taken."""

    def remove(self, name: str, path: str) -> None:
        """Delete a file, a link (not what it points to) or a folder with all that is in it. Raises
        Refused where only a part could be deleted, and BadPath where nothing was."""
