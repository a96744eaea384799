"""One Incus server, or one member of a cluster, as the panel's driver protocol wants it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, BinaryIO
from urllib.parse import quote
from uuid import uuid4

from containers.drivers import (
    Conflict,
    Driver,
    DriverError,
    FileInfo,
    NoSuchImage,
    Power,
    Progress,
    Refused,
    Spec,
    Unreachable,
    differ,
    is_name,
)

from . import files, moving
from .errors import Unheard
from .instances import (
    ID,
    MOVE,
    SSH_KEY,
    STATE,
    WHOLE,
    IncusInstance,
    creation,
    label_notes,
    refuse_unless_stopped,
)
from .operations import Doing, follow, follow_creation, under_way
from .reading import NodeReader
from .sftp import Sftp

# Seconds until a system that has not shut down is asked once more.
ASK_AGAIN_AFTER = 15


class IncusDriver(NodeReader):
    """See `containers.drivers.Driver`."""

    def create(self, spec: Spec) -> Iterator[Progress]:
        name = spec.name
        if not is_name(name):
            raise Refused(f"{name!r} cannot be the name of an instance")
        yield from self._join(name, Doing.CREATE, "Creating")
        found = self.look(name)
        if found and not found.is_ours:
            raise Refused(f"there is an instance {name} that is not the panel's")
        if found and MOVE in found.config and not found.is_whole:
            raise Conflict(f"{name} is on its way here")
        if found and not found.is_whole:
            yield from self.discard(found, "Clearing away a broken try")
            found = None
        if found is None:
            yield from self._unpack(spec)
            found = self.look(name)
        if not (found and found.is_whole):
            # Somebody else is at it as well.
            yield from self._join(name, Doing.CREATE, "Creating")
            found = self.look(name)
        if not (found and found.is_whole):
            raise Conflict(f"{name}: something came in between")
        # No note where nothing is left to do: it costs Incus nearly as much as unpacking did.
        if not found.is_complete:
            self.complete(found)

    def _unpack(self, spec: Spec) -> Iterator[Progress]:
        image = {} if spec.source else self._image(spec.image)
        body = creation(spec, self.pool, image)
        begun = self.client.change("POST", "/1.0/instances", body, **self.at_member)
        try:
            listen = follow_creation if spec.source else follow
            yield from listen(self.client, begun["id"], "Unpacking")
        except Unreachable:
            raise
        except DriverError:
            # Somebody else may have created the same at the same moment.
            found = self.look(spec.name)
            if not (found and found.is_ours):
                raise

    def claim(self, name: str, labels: Mapping[str, str]) -> None:
        found = self.whole_or_by_hand(name)
        if not found.is_container:
            raise Refused(f"{name} is no container, but a {found.raw['type']}")
        notes = label_notes({**dict.fromkeys(found.labels, ""), **labels})
        if found.is_by_hand:
            notes |= {ID: uuid4().hex, STATE: WHOLE}
        # An ephemeral one would be deleted by the server as soon as it stops.
        body = {"config": notes, "ephemeral": False}
        self.client.change("PATCH", f"/1.0/instances/{name}", body)

    def start(self, name: str) -> Iterator[Progress]:
        yield from self._join(name, Doing.CREATE, "Creating")
        found = self.whole(name)
        if found.is_paused:
            yield from self._resume(name)
        if found.power is Power.RUNNING:
            return
        self._prepare(found)
        yield from self._set_power(name, Doing.START, {"action": "start"}, Power.RUNNING, "Booting")

    def stop(self, name: str, *, force: bool = False) -> Iterator[Progress]:
        found = self.whole(name)
        if found.power is Power.STOPPED:
            # It may be booting: wait for the end of that, and look again.
            yield from self._join(name, Doing.START, "Booting")
            found = self.whole(name)
            if found.power is Power.STOPPED:
                return
        if force:
            body, step = {"action": "stop", "force": True}, "Pulling the plug"
        else:
            if found.is_paused:
                yield from self._resume(name)
            body = {"action": "stop", "timeout": ASK_AGAIN_AFTER}
            step = "Waiting for the system to shut down"
        while True:
            # A system that has only begun to boot does not hear the first request.
            with suppress(Unheard):
                yield from self._set_power(name, Doing.STOP, body, Power.STOPPED, step)
                return

    def delete(self, name: str, *, labels: Mapping[str, str] = {}) -> Iterator[Progress]:
        for progress in self._join(name, Doing.CREATE, "Deleting its files"):
            yield replace(progress, begun=False)
        yield from self._join(name, Doing.DELETE, "Deleting its files")
        found = self.look(name)
        if found is None or not found.is_ours or differ(found.labels, labels):
            return
        refuse_unless_stopped(found)
        yield from self._delete(name, "Deleting its files")

    def discard(self, found: IncusInstance, step: str) -> Iterator[Progress]:
        """Delete an instance that is in the way, if it still is what was `found`. Raises Conflict
        where it has become something else since.

        The first Progress comes before the last look, so that a worker that was slow to come here
        hears first that it has lost its lease. What remains is the moment between the last look and
        the deletion: Incus deletes whatever has the name by then.
        """
        yield Progress(None, step)
        now = self.look(found.name)
        if now is None:
            return
        if now.identity != found.identity:
            raise Conflict(f"{found.name} on {self.label}: something came in between")
        yield from self._delete(found.name, step)

    def _delete(self, name: str, step: str) -> Iterator[Progress]:
        try:
            begun = self.client.change("DELETE", f"/1.0/instances/{name}")
            yield from follow(self.client, begun["id"], step)
        except Unreachable:
            raise
        except DriverError:
            if self.look(name):
                raise

    def check_move(self, name: str, target: Driver) -> None:
        moving.check(self, self._same_kind(target), name)

    def move(self, name: str, target: Driver) -> Iterator[Progress]:
        yield from moving.move(self, self._same_kind(target), name)

    def give_up_move(self, name: str, target: Driver) -> Iterator[Progress]:
        yield from moving.give_up(self, self._same_kind(target), name)

    def _same_kind(self, target: Driver) -> IncusDriver:
        if not isinstance(target, IncusDriver):
            raise Refused(f"{target!r} is a node of another kind")
        return target

    def list_folder(self, name: str, path: str) -> list[FileInfo]:
        with self._files(name) as sftp:
            return files.list_folder(sftp, path)

    def file_info(self, name: str, path: str, *, follow: bool = True) -> FileInfo:
        with self._files(name) as sftp:
            return files.file_info(sftp, path, follow=follow)

    def read_file(self, name: str, path: str) -> Iterator[bytes]:
        pieces = self._pieces(name, path)
        next(pieces)  # opens the file: an error comes now, and not in the middle of an answer
        return pieces

    def _pieces(self, name: str, path: str) -> Iterator[bytes]:
        with self._files(name) as sftp:
            yield from files.read(sftp, path)

    def write_file(
        self, name: str, path: str, content: BinaryIO, *, version: str | None = None
    ) -> FileInfo:
        with self._files(name, to_change=True) as sftp:
            return files.write(sftp, path, content, version)

    def make_folder(self, name: str, path: str) -> None:
        with self._files(name, to_change=True) as sftp:
            files.make_folder(sftp, path)

    def rename(self, name: str, path: str, to: str) -> None:
        with self._files(name, to_change=True) as sftp:
            files.rename(sftp, path, to)

    def remove(self, name: str, path: str) -> None:
        with self._files(name, to_change=True) as sftp:
            files.remove(sftp, path)

    def note(self, name: str, key: str, value: str) -> None:
        """Write one of the panel's notes on an instance; "" takes it away."""
        self.client.change("PATCH", f"/1.0/instances/{name}", {"config": {key: value}})

    def complete(self, found: IncusInstance) -> None:
        """Do what Incus leaves to us after unpacking, once, and note that it is done."""
        if found.config.get(STATE) == WHOLE:
            return
        key = found.config.get(SSH_KEY)
        if key and not found.has_cloud_init and found.power is Power.STOPPED:
            with files.session(self.client, found.name) as sftp:
                files.put_ssh_key(sftp, key)
        self.note(found.name, STATE, WHOLE)

    @contextmanager
    def _files(self, name: str, *, to_change: bool = False) -> Iterator[Sftp]:
        found = self.whole(name)
        if found.power is not Power.STOPPED:
            raise Conflict(
                f"{name} is {found.power}, its files want it stopped",
                "The files can be reached only while the container is stopped.",
            )
        if to_change:
            self._prepare(found)
        with files.session(self.client, name) as sftp:
            yield sftp

    def _prepare(self, found: IncusInstance) -> None:
        """Before it is started or changed: complete it, and take the mark of a move away, whose
        copy is out of date from now on."""
        if not found.is_complete:
            self.complete(found)
        if MOVE in found.config:
            self.note(found.name, MOVE, "")

    def _resume(self, name: str) -> Iterator[Progress]:
        """Resume an instance that somebody on the node has paused."""
        begun = self._put_state(name, {"action": "unfreeze"})
        with suppress(Refused, Conflict):  # somebody else was faster
            yield from follow(self.client, begun, "Resuming")

    def _image(self, alias: str) -> dict[str, Any]:
        found = self.client.find(f"/1.0/images/aliases/{quote(alias, safe='')}")
        if found is None:
            raise NoSuchImage(f"{self.label} has no image {alias!r}")
        image: dict[str, Any] = self.client.get(f"/1.0/images/{found['target']}")
        return image

    def _join(self, name: str, doing: Doing, step: str) -> Iterator[Progress]:
        """Wait until the node has ended this kind of work on an instance, however it ends, if it is
        at it. Raises NoImageServer where a creation does not get on."""
        listen = follow_creation if doing is Doing.CREATE else follow
        for operation in under_way(self.client, name, self.member):
            if operation.doing == doing and not operation.waits:
                with suppress(Refused, Conflict):
                    yield from listen(self.client, operation.id, step)

    def _set_power(
        self, name: str, doing: Doing, body: dict[str, Any], power: Power, step: str
    ) -> Iterator[Progress]:
        """Bring an instance to this power, or join an operation that does. Raises the node's error,
        unless the instance has come to that power all the same."""
        failure: DriverError | None = None
        for _ in range(2):  # once more where the server was started anew meanwhile
            try:
                operations = [] if body.get("force") else under_way(self.client, name, self.member)
                joined = [each.id for each in operations if each.doing == doing]
                begun = joined[0] if joined else self._put_state(name, body)
                yield from follow(self.client, begun, step)
            except Unreachable:
                raise
            except DriverError as error:
                failure = error
            if self.whole(name).power is power:
                return
            if failure:
                break
        raise failure or Conflict(f"{name} is not {power}: something came in between")

    def _put_state(self, name: str, body: dict[str, Any]) -> str:
        """Ask for another state, and return the id of the operation that brings it about."""
        begun = self.client.change("PUT", f"/1.0/instances/{name}/state", body)
        return str(begun["id"])
