"""The files of a container in repair: the one door to them; what is changed is in the history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO

from django.db import transaction

from containers import who
from containers.connect import connect, labels_of
from containers.drivers import (
    BadPath,
    BrokenOff,
    Conflict,
    Driver,
    DriverError,
    FileChanged,
    FileInfo,
    NoRoom,
    NoSuchInstance,
    Unreachable,
)
from containers.models import Container, FileChange
from containers.repair import paths
from containers.statuses import Status
from containers.throttle import TOO_FAST, is_too_fast, lock_if_limited

if TYPE_CHECKING:
    from panel.models import User


class FileProblem(Exception):
    """It did not work. `sentence` says so in plain words, `detail` is for staff."""

    def __init__(self, sentence: str, detail: str = "") -> None:
        super().__init__(detail or sentence)
        self.sentence = sentence
        self.detail = detail


class NotYours(FileProblem):
    """This person may see the container, but not what is in it."""


class Closed(FileProblem):
    """The container is not in repair."""


class NotThere(FileProblem):
    """No such path, or it cannot be used this way."""


class Changed(FileProblem):
    """The file is not the one that was opened."""


class TooFast(FileProblem):
    """This person has asked for too much within a minute."""


class Unanswered(FileProblem):
    """The node did not answer: a change may have happened or not."""


NO_SUCH_PATH = "There is no such file or folder, or a link leads to one that is not there."

# After these the node is sure that nothing was changed.
_NOTHING_DONE = (BadPath, FileChanged, NoRoom, NoSuchInstance, Conflict)


class Files:
    """What one person can do to the files of one container.

    Making one raises NotYours and Closed, every method a FileProblem. Nothing waits longer
    than the node's time-out, and no transaction is open while the node works.

    A change is first written down, in the one transaction in which the container's row is
    locked and found to be in repair, then done, and taken out of the history again where the
    node is sure that it did nothing. In this order no change is ever missing from the history,
    neither after a crash nor after an answer that never came; and whoever stops the container
    either comes first, and nothing is changed any more, or finds the change in the history
    before the stop. A change that was let in and is slow, a long upload, is refused by the
    driver once the container is on its way to boot or to another node.
    """

    def __init__(self, container: Container, person: User) -> None:
        _check(container, person)
        self._container = container
        self._person = person
        self._name = container.instance_name

    def list(self, path: str) -> list[FileInfo]:
        """The entries of a folder, folders first, then by name; no more than MAX_LISTED."""
        with _plainly():
            return self._node.list_folder(self._name, path)

    def info(self, path: str) -> FileInfo:
        """One file or folder; a link is followed."""
        with _plainly():
            return self._node.file_info(self._name, path)

    def entry(self, path: str) -> FileInfo:
        """One entry of a folder; a link is itself."""
        with _plainly("It is not there any more."):
            return self._node.file_info(self._name, path, follow=False)

    def read(self, path: str) -> Iterator[bytes]:
        """The content in pieces. That it can be read is known when this returns."""
        with _plainly():
            pieces = self._node.read_file(self._name, path)
            first = next(pieces, b"")
        return chain([first], pieces)

    def start_of(self, path: str, most: int) -> bytes:
        """Up to `most` bytes from its beginning, at once."""
        content = bytearray()
        with _plainly():
            for piece in self._node.read_file(self._name, path):
                content += piece
                if len(content) >= most:
                    break
        return bytes(content[:most])

    def write(
        self, path: str, content: BinaryIO, *, did: str, size: int, version: str | None = None
    ) -> None:
        """Put `content`, of `size` bytes, at `path`. With `version`, only if the file still
        has it ("" means: only if there is none), else raises Changed."""
        taken = "A file cannot be put here: there is something else of this name, or no folder."
        with self._change(did, path, size, bad_path=taken) as node:
            node.write_file(self._name, path, content, version=version)

    def make_folder(self, path: str) -> None:
        taken = "No folder can be made here: there is something of this name already."
        with self._change("made folder", path, bad_path=taken) as node:
            node.make_folder(self._name, path)

    def rename(self, path: str, to: str) -> None:
        taken = "It cannot go there: the name is taken, or there is no such folder."
        with self._change("renamed", f"{path} → {to}", bad_path=taken) as node:
            node.rename(self._name, path, to)

    def remove(self, path: str) -> None:
        """Delete a file, a link, or a folder with all that is in it."""
        gone = "It is not there any more, or it cannot be deleted."
        with self._change("deleted", path, bad_path=gone) as node:
            node.remove(self._name, path)

    @property
    def _node(self) -> Driver:
        return _driver(self._container)

    @contextmanager
    def _change(
        self, did: str, path: str, size: int | None = None, *, bad_path: str
    ) -> Iterator[Driver]:
        """Write one change down, and yield the driver to do it with."""
        with transaction.atomic():
            lock_if_limited(self._person)
            fresh = Container.objects.locked(self._container.pk)
            _check(fresh, self._person)
            if is_too_fast(self._person):
                raise TooFast(TOO_FAST)
            change = FileChange.objects.create(
                container=fresh, by=self._person, did=did, path=paths.shown(path), size=size
            )
        try:
            yield _driver(fresh)
        except DriverError as error:
            if isinstance(error, _NOTHING_DONE):
                change.delete()
            raise _problem(error, bad_path, changing=True) from error


def may_open(container: Container, person: User) -> bool:
    """Whether this person may ever open its files, which is not for all who see the container."""
    return who.owner(container, person)


def _check(container: Container, person: User) -> None:
    if not may_open(container, person):
        raise NotYours("Only its customer and administrators may open its files.")
    if container.status == Status.DESTROYED:
        raise Closed(f"{container.name} is Destroyed, and its files were deleted with it.")
    if container.status != Status.REPAIRING:
        first = " or ".join(Status(value).label for value in Container.sources_of("repair"))
        raise Closed(
            f"{container.name} is {container.get_status_display()} now. Its files are open only "
            f"in repair, and Repair can be chosen while it is {first}."
        )


def _driver(container: Container) -> Driver:
    """The driver of its node. Raises NoSuchInstance where that has another instance in its
    place."""
    assert container.node is not None
    driver, name = connect(container.node), container.instance_name
    found = driver.instance(name)
    if found and found.is_another(labels_of(container)):
        raise NoSuchInstance(f"{name} on the node was made for another container")
    return driver


@contextmanager
def _plainly(bad_path: str = NO_SUCH_PATH) -> Iterator[None]:
    """Turn what a node says while it is read from into a FileProblem."""
    try:
        yield
    except DriverError as error:
        raise _problem(error, bad_path, changing=False) from error


def _problem(error: DriverError, bad_path: str, *, changing: bool) -> FileProblem:
    if isinstance(error, BadPath):
        return NotThere(bad_path, error.detail)
    if isinstance(error, FileChanged):
        return Changed("It has been changed by somebody else meanwhile.", error.detail)
    if isinstance(error, Unreachable | BrokenOff):
        return Unanswered(_unanswered(changing), error.detail)
    if isinstance(error, NoRoom):
        sentence = "There is no room left. Delete what is not needed; more is a case for support."
    elif isinstance(error, Conflict):
        sentence = "The node is busy with this container just now. Try again in a moment."
    elif isinstance(error, NoSuchInstance):
        sentence = "The node does not have this container any more: a case for support."
    else:
        sentence = error.sentence
    return FileProblem(sentence, error.detail)


def _unanswered(changing: bool) -> str:
    if changing:
        return "The node did not answer, so it is not known whether this was done. Look again soon."
    return "The node does not answer just now. Try again in a moment."
