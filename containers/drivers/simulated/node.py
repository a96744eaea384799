"""A simulated node at work, which goes on while nobody is looking.

There is no process: work is a note with the time at which it is done, and the next look, from any
process, carries out what is due by then. Everything is decided under one lock, which the kernel
releases when its holder dies. An effect is written to the journal before it is made, and is made
again where a crash came in between: nothing is lost or done twice.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from containers.drivers import DriverError, NoRoom, Power, Progress, Refused, Unreachable

from .chroot import driver_errors
from .copy import copy_tree, fingerprint
from .image import unpack
from .store import (
    Config,
    Doing,
    Failure,
    State,
    Store,
    Work,
    read_config,
    read_state,
    try_lock,
    write_config,
    write_state,
)

logger = logging.getLogger(__name__)

_SECONDS = {
    Doing.CREATE: 6.0,
    Doing.START: 2.0,
    Doing.STOP: 2.5,
    Doing.FORCE: 0.3,
    Doing.DELETE: 1.5,
    Doing.MOVE: 5.0,
}
_SLOW = 5

_EFFECTS = {
    Doing.START: ("started", Power.RUNNING),
    Doing.STOP: ("stopped", Power.STOPPED),
    Doing.FORCE: ("forced", Power.STOPPED),
}

_REASONS = {
    Doing.CREATE: "Failed creating instance record: no such volume in storage pool 'default'",
    Doing.START: "Failed to run: forkstart: cgroup2 controller 'memory' is not available",
    Doing.STOP: "Failed shutting down: init does not answer and cannot be signalled",
    Doing.FORCE: "Failed to kill: monitor process is in uninterruptible sleep",
    Doing.DELETE: "Failed deleting storage volume: device or resource busy",
    Doing.MOVE: "Failed migration: rsync: connection unexpectedly closed (error 12)",
}


_STEPS = {
    Doing.CREATE: ((0, "Fetching {image}"), (40, "Unpacking"), (85, "Setting up")),
    Doing.START: ((0, "Starting"), (25, "Booting")),
    Doing.STOP: ((0, "Asking the system to shut down"), (50, "Waiting for it to shut down")),
    Doing.FORCE: ((0, "Pulling the plug"),),
    Doing.DELETE: ((0, "Deleting its files"),),
    Doing.MOVE: ((0, "Copying to {target}"), (85, "Verifying the copy")),
}


def progress(work: Work, words: Mapping[str, str]) -> Progress:
    """How far it is by now; `words` fill in its steps."""
    steps = _STEPS[work.doing]
    if work.until is None:
        return Progress(None, steps[-1][1])
    done = (time.time() - work.since) / max(work.until - work.since, 0.001)
    percent = max(0, min(99, int(100 * done)))
    step = [text for start, text in steps if start <= percent][-1]
    return Progress(percent, step.format(**words))


class SimulatedNode(Store):
    """The node whose folder is `root`."""

    def refuse_if_failing(self, doing: Doing) -> None:
        """Raise Refused where the node does no work."""
        if self.settings().faults.failing:
            raise Refused(_REASONS[doing])

    def refuse_if_full(self) -> None:
        """Raise NoRoom where the node takes nothing more in."""
        if self.settings().faults.full:
            raise NoRoom("Failed to write: no space left in storage pool 'default'")

    def work(self, doing: Doing, config: Config, target: str = "") -> Work:
        """A piece of work that begins now, and when it will be done on this node."""
        told = {"method": doing.value.upper(), "path": config.spec.name, "server": self.root.name}
        logger.info("node call", extra=told)
        settings = self.settings()
        pace = settings.pace
        if config.pace is not None and doing is not Doing.FORCE:  # pulling a plug is quick
            pace = config.pace
        seconds = _SECONDS[doing] * pace * (_SLOW if settings.faults.slow else 1)
        now = time.time()
        endless = doing is Doing.STOP and config.stubborn
        return Work(doing, now, None if endless else now + seconds, target)

    def begin_creation(self, config: Config) -> Work:
        """Begin to create a container; what a broken try has left is thrown away. The caller holds
        the lock."""
        name = config.spec.name
        if not self.is_free(name):
            raise Refused(f"{name!r} cannot be the name of an instance here")
        work = self.work(Doing.CREATE, config)
        folder = self.creating / name
        self.discard(folder)
        folder.mkdir(mode=0o700)
        write_config(folder, config)
        write_state(folder, State(work.id, Power.STOPPED, work=work))
        return work

    def forget_creation(self, name: str) -> None:
        """Give up what is being created, or what a broken try left. The caller holds the lock."""
        if name in self.names():
            self.discard(self.creating / name)

    def catch_up(self, names: Iterable[str]) -> None:
        """Carry out what is due. The caller does not hold the lock."""
        moves = []
        with self.locked():
            for name in names:
                state = self.settle(name)
                if state and state.work and state.work.doing is Doing.MOVE and state.work.is_due:
                    moves.append(name)
        for name in moves:
            self._finish_move(name)

    def settle(self, name: str) -> State | None:
        """Carry out what is due, except for a move: that takes long, and holds no lock.
        The caller holds the lock."""
        self._settle_creation(name)
        state = self.state(name)
        if state is None or state.work is None or not state.work.is_due:
            return state
        work = state.work
        if work.doing is Doing.MOVE:
            return state
        try:
            if not self.recorded(work.id):
                self.refuse_if_failing(work.doing)
        except Refused as error:
            _fail(self.instances / name, state, error)
            return state
        if work.doing is Doing.DELETE:
            self.record(name, "deleted", work.id)
            self.discard(self.instances / name)
            return None
        did, power = _EFFECTS[work.doing]
        state.set_power(power)
        self.record(name, did, work.id)
        self.discard(self.instances / name / "aside")
        state.work = None
        self.save(name, state)
        return state

    def _settle_creation(self, name: str) -> None:
        state = self.creation(name)
        if state is None:
            return
        folder = self.creating / name
        if self.state(name):
            self.discard(folder)
            return
        if state.work is None or not state.work.is_due:
            return
        whole = folder / "whole"
        try:
            if not self.is_free(name):
                raise Refused(f"{name} is there by now, and not ours")
            if not self.recorded(state.work.id):
                self.refuse_if_failing(Doing.CREATE)
                self.refuse_if_full()
            self._build(whole, read_config(folder), state.uid)
        except DriverError as error:
            _fail(folder, state, error)
            return
        self.record(name, "created", state.work.id)
        whole.rename(self.instances / name)
        self.discard(folder)

    def _build(self, whole: Path, config: Config, uid: str) -> None:
        """Make a whole container; its state comes last, and says that the rest is there."""
        with driver_errors(config.spec.name):
            if read_state(whole) is None:
                self.discard(whole)
                whole.mkdir(mode=0o700)
                unpack(whole / "rootfs", config.spec)
                write_config(whole, config)
            write_state(whole, State(uid, Power.STOPPED, self.free_address()))

    def _finish_move(self, name: str) -> None:
        """Copy, verify, make it whole on the other node, and only then be rid of it here.

        Of several callers only the one that gets the lock of the container's own folder does this;
        the nodes' locks are held for the last step only, in one order, so that opposite moves
        cannot block each other.
        """
        try:
            folder = os.open(self.instances / name, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return
        try:
            state = self.state(name) if try_lock(folder) else None
            if state is None or state.work is None or state.work.doing is not Doing.MOVE:
                return
            target = SimulatedNode(Path(state.work.target), self.timeout)
            copy = target.arriving / f"{state.uid}.{state.work.id}"
            try:
                if not target.holds(name, state.uid) and read_state(copy) is None:
                    self._copy(name, state.uid, target, copy)
            except DriverError as error:
                with self.locked():
                    _fail(self.instances / name, self.state(name), error)
                return
            first, second = sorted((self, target), key=lambda node: node.root)
            with first.locked(), second.locked():
                self._hand_over(name, state.work, target, copy)
        finally:
            os.close(folder)

    def holds(self, name: str, uid: str) -> bool:
        state = self.state(name)
        return state is not None and state.uid == uid

    def _copy(self, name: str, uid: str, target: SimulatedNode, copy: Path) -> None:
        faults = target.settings().faults
        if faults.unplugged or faults.hanging:
            raise Unreachable(f"{target.root.name} does not answer {self.root.name}")
        self.refuse_if_failing(Doing.MOVE)
        target.refuse_if_failing(Doing.MOVE)
        target.refuse_if_full()
        target.forget_copies(uid)
        source = self.instances / name
        with driver_errors(name):
            copy.mkdir(mode=0o700)
            write_config(copy, self.config(name))
            copy_tree(source / "rootfs", copy / "rootfs")
        if fingerprint(source / "rootfs") != fingerprint(copy / "rootfs"):
            raise Refused(f"the copy of {name} on {target.root.name} is not the same")

    def _hand_over(self, name: str, work: Work, target: SimulatedNode, copy: Path) -> None:
        """The last step of a move, with both locks held."""
        state = self.state(name)
        if state is None or state.work is None or state.work.id != work.id:
            shutil.rmtree(copy, ignore_errors=True)
            return
        if not target.holds(name, state.uid):
            if not target.is_free(name):
                error = Refused(f"{target.root.name} has another {name}")
                _fail(self.instances / name, state, error)
                return
            write_state(copy, State(state.uid, Power.STOPPED, target.free_address()))
            target.record(name, "moved_in", work.id)
            copy.rename(target.instances / name)
        self.record(name, "moved_out", work.id)
        self.discard(self.instances / name)


def _fail(folder: Path, state: State | None, error: DriverError) -> None:
    if state and state.work:
        state.failed = Failure(state.work.id, type(error).__name__, error.detail)
        state.work = None
        write_state(folder, state)
