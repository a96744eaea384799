"""A node that is only a folder: the embedded default, and what the tests and the demo run on.

It behaves like a daemon of its own: work takes its time, goes on when the asker is gone, and can be
joined by asking again. What is not in the driver protocol is for the demo and for tests: `install`,
`seed` and the faults.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Self

from containers.drivers import (
    Conflict,
    Driver,
    FileInfo,
    Instance,
    NoSuchImage,
    NoSuchInstance,
    Power,
    Progress,
    Refused,
    Resources,
    Spec,
    Unreachable,
    Usage,
    differ,
)

from .image import pretty
from .node import SimulatedNode, progress
from .rootfs import Rootfs
from .store import Config, Doing, Faults, Settings, State, Work, write_config
from .usage import node_usage, usage_of

_POLL = 0.2
_SLOW_ANSWER = 0.5
_SEEDED_UPTIME = 30 * 86_400.0


class SimulatedDriver:
    """The node whose folder is `root`."""

    def __init__(self, root: Path, *, timeout: float = 5.0) -> None:
        self.root = root
        self.timeout = timeout
        self._node = SimulatedNode(root, timeout)

    def resources(self) -> Resources:
        settings = self._reach()
        return Resources(settings.cpus, settings.memory_mb, settings.disk_gb, "simulated")

    def images(self) -> list[str]:
        return list(self._reach().images)

    def instances(self) -> dict[str, Instance]:
        names = self._caught_up()
        found = ((name, self._node.state_of_any(name)) for name in names)
        return {name: self._instance(name, state) for name, state in found if state}

    def unfinished(self) -> dict[str, bool]:
        creations = {name for name in self._caught_up() if self._node.creation(name)}
        return dict.fromkeys(creations.union(self._node.copies().values()), True)

    def instance(self, name: str) -> Instance | None:
        self._reach()
        self._node.catch_up([name])
        state = self._node.state(name)
        return self._instance(name, state) if state else None

    def _caught_up(self) -> list[str]:
        """The names of all instances, whole or being created, once all is done that is due."""
        self._reach()
        names = self._node.names()
        self._node.catch_up(names)
        return names

    def _instance(self, name: str, state: State) -> Instance:
        labels = self._node.labels(name)
        return Instance(name, _power(state), state.address, state.by_hand, labels=labels)

    def describe(self, name: str) -> Spec:
        with self._whole_or_by_hand(name):
            return self._node.config(name).spec

    def claim(self, name: str, labels: Mapping[str, str]) -> None:
        with self._whole_or_by_hand(name) as state:
            config = self._node.config(name)
            config = replace(config, spec=replace(config.spec, labels=labels))
            write_config(self._node.instances / name, config)
            state.by_hand = False
            self._node.save(name, state)

    def usage(self) -> dict[str, Usage]:
        names, now, used = self._caught_up(), time.time(), {}
        for name in names:
            state = self._node.state(name)
            if state and state.power is Power.RUNNING:
                with suppress(FileNotFoundError):  # it has been deleted since
                    used[name] = usage_of(self._node.config(name).spec, state.booted, now)
        return used | {"": node_usage(used.values())}

    def create(self, spec: Spec) -> Iterator[Progress]:
        name = spec.name
        settings = self._reach()
        with self._node.locked():
            if state := self._node.settle(name):
                if state.work and state.work.doing in (Doing.DELETE, Doing.MOVE):
                    raise Conflict(f"{name} is there, and {state.work.doing} is under way")
                return
            creation = self._node.creation(name)
            work = creation.work if creation else None
            if work is None:
                # An image server is taken to have whatever is asked of it.
                if not spec.source and spec.image not in settings.images:
                    raise NoSuchImage(f"{self.root.name} has no image {spec.image!r}")
                self._node.refuse_if_failing(Doing.CREATE)
                self._node.refuse_if_full()
                work = self._node.begin_creation(Config(spec))
        yield from self._follow(name, work.id, image=pretty(spec.image))

    def start(self, name: str) -> Iterator[Progress]:
        with self._whole(name) as state:
            if state.power is Power.RUNNING and not state.work:
                return
            work = self._begin(name, state, Doing.START)
        yield from self._follow(name, work.id)

    def stop(self, name: str, *, force: bool = False) -> Iterator[Progress]:
        with self._whole(name) as state:
            if state.power is Power.STOPPED and not state.work:
                return
            forced = force or (state.work and state.work.doing is Doing.FORCE)
            work = self._begin(name, state, Doing.FORCE if forced else Doing.STOP)
        yield from self._follow(name, work.id)

    def delete(self, name: str, *, labels: Mapping[str, str] = {}) -> Iterator[Progress]:
        self._reach()
        with self._node.locked():
            state = self._node.settle(name)
            if differ(self._node.labels(name), labels):
                return
            if state is None:
                self._node.forget_creation(name)
                for copy, called in self._node.copies().items():
                    if called == name:
                        self._node.discard(copy)
                return
            _refuse_unless_stopped(name, state)
            work = self._begin(name, state, Doing.DELETE)
        yield from self._follow(name, work.id)

    def check_move(self, name: str, target: Driver) -> None:
        there = self._same_kind(target)
        with self._whole(name):
            there._reach()
            there._node.refuse_if_failing(Doing.MOVE)
            there._node.refuse_if_full()

    def _same_kind(self, target: Driver) -> SimulatedDriver:
        if not isinstance(target, SimulatedDriver):
            raise Refused(f"{target!r} is a node of another kind")
        return target

    def move(self, name: str, target: Driver) -> Iterator[Progress]:
        target = self._same_kind(target)
        self._reach()
        target._reach()
        target._node.catch_up([name])
        with self._node.locked():
            state = self._node.settle(name)
            # Only now: another process may have handed it over in the meantime.
            there = target._node.state(name)
            if state is None and there is None:
                raise NoSuchInstance(f"neither {self.root.name} nor {target.root.name} has {name}")
            if state is None or self._node.root == target._node.root:
                return
            _refuse_unless_stopped(name, state)
            if there and there.uid != state.uid:
                raise Refused(f"{target.root.name} has another {name}")
            if not state.work:
                target._node.refuse_if_failing(Doing.MOVE)
                target._node.refuse_if_full()
            work = self._begin(name, state, Doing.MOVE, str(target._node.root))
        yield from self._follow(name, work.id, target=target.root.name)

    def give_up_move(self, name: str, target: Driver) -> Iterator[Progress]:
        there = self._same_kind(target)
        self._reach()
        there._reach()
        yield Progress(None, "Clearing away the copy")
        with self._node.locked():
            state = self._node.settle(name)
            if state is None:
                return
            if state.work and state.work.doing is Doing.MOVE:
                state.work = None
                self._node.save(name, state)
        there._node.forget_copies(state.uid)

    def list_folder(self, name: str, path: str) -> list[FileInfo]:
        with self._files(name) as files:
            return files.list_folder(path)

    def file_info(self, name: str, path: str, *, follow: bool = True) -> FileInfo:
        with self._files(name) as files:
            return files.file_info(path, follow=follow)

    def read_file(self, name: str, path: str) -> Iterator[bytes]:
        with self._files(name) as files:
            return files.read(path)

    def write_file(
        self, name: str, path: str, content: BinaryIO, *, version: str | None = None
    ) -> FileInfo:
        with self._files(name) as files:
            self._node.refuse_if_full()
            files.check_writable(path, version)
        staged = files.stage(content)
        try:
            with self._files(name) as files:
                return files.put(staged, path, version)
        finally:
            staged.unlink(missing_ok=True)

    def make_folder(self, name: str, path: str) -> None:
        with self._files(name) as files:
            self._node.refuse_if_full()
            files.make_folder(path)

    def rename(self, name: str, path: str, to: str) -> None:
        with self._files(name) as files:
            files.rename(path, to)

    def remove(self, name: str, path: str) -> None:
        with self._files(name) as files:
            files.remove(path)

    def _reach(self) -> Settings:
        settings = self._node.settings()
        if settings.faults.unplugged:
            raise Unreachable(f"{self.root.name}: no route to host")
        if settings.faults.hanging:
            time.sleep(self.timeout)
            raise Unreachable(f"{self.root.name}: no answer within {self.timeout} s")
        if settings.faults.slow:
            time.sleep(min(_SLOW_ANSWER, self.timeout / 4))
        return settings

    @contextmanager
    def _whole(self, name: str) -> Iterator[State]:
        with self._whole_or_by_hand(name) as state:
            if state.by_hand:
                raise NoSuchInstance(f"{self.root.name} has no {name} of the panel's")
            yield state

    @contextmanager
    def _whole_or_by_hand(self, name: str) -> Iterator[State]:
        self._reach()
        with self._node.locked():
            state = self._node.settle(name) or self._node.state_of_any(name)
            if state is None:
                raise NoSuchInstance(f"{self.root.name} has no {name}")
            yield state

    @contextmanager
    def _files(self, name: str) -> Iterator[Rootfs]:
        with self._whole(name) as state:
            if state.work or state.power is not Power.STOPPED:
                raise Conflict(
                    f"{name} is {_power(state)}, its files want it stopped",
                    "The files can be reached only while the container is stopped.",
                )
            yield self._node.rootfs(name)

    def _begin(self, name: str, state: State, doing: Doing, target: str = "") -> Work:
        """Join the same work where it is under way, or else begin it."""
        under_way = state.work
        if under_way and (under_way.doing, under_way.target) == (doing, target):
            return under_way
        hardens = under_way and under_way.doing is Doing.STOP and doing is Doing.FORCE
        if _power(state) is Power.BUSY and not hardens:
            raise Conflict(f"{name} is busy: {under_way.doing if under_way else state.power}")
        self._node.refuse_if_failing(doing)
        state.work = self._node.work(doing, self._node.config(name), target)
        if under_way:
            state.work.id = under_way.id  # those who wait for the gentle stop go on waiting
        state.failed = None
        self._node.save(name, state)
        return state.work

    def _follow(self, name: str, work_id: str, **words: str) -> Iterator[Progress]:
        while True:
            self._reach()
            self._node.catch_up([name])
            state = self._node.creation(name) or self._node.state(name)
            if state and state.work and state.work.id == work_id:
                yield progress(state.work, words)
                left = _POLL if state.work.until is None else state.work.until - time.time()
                time.sleep(min(_POLL, max(left, 0.02)))
            elif self._node.recorded(work_id):
                return
            elif state and state.failed and state.failed.work == work_id:
                raise state.failed.as_error()
            else:
                raise Conflict(f"{name}: something on {self.root.name} came in between")

    @classmethod
    def install(
        cls, root: Path, resources: Resources, images: Iterable[str], pace: float = 1.0
    ) -> Self:
        """Set a node up, or change what it has; its containers and its faults stay."""
        driver = cls(root)
        faults = driver.faults() if (root / "node.json").exists() else Faults()
        has = resources.cpus, resources.memory_mb, resources.disk_gb
        driver._node.install(Settings(*has, list(images), pace, faults))
        return driver

    def faults(self) -> Faults:
        """What is wrong with the node; can be asked whatever it is."""
        return self._node.settings().faults

    def set_faults(self, faults: Faults) -> None:
        """Break the node, or with `Faults()`, mend it."""
        with self._node.locked():
            self._node.configure(replace(self._node.settings(), faults=faults))

    def seed(
        self,
        spec: Spec,
        power: Power = Power.STOPPED,
        *,
        pace: float | None = None,
        stubborn: bool = False,
    ) -> None:
        """Put a container there at once, unless it is there. BUSY: its creation is under way.
        RUNNING: it has been for a month.

        `pace` is its own from now on, in place of the node's. A `stubborn` one ignores a
        gentle stop for ever."""
        with self._node.locked():
            if not self._node.is_free(spec.name):
                return
            config = Config(spec, pace, stubborn)
            if power is Power.BUSY:
                if not self._node.creation(spec.name):
                    self._node.begin_creation(config)
                return
            self._node.begin_creation(replace(config, pace=0))
            state = self._node.settle(spec.name)
            if state is None:
                raise Refused(f"{self.root.name} does not create {spec.name}")
            state.set_power(power)
            state.booted -= _SEEDED_UPTIME
            write_config(self._node.instances / spec.name, config)
            self._node.save(spec.name, state)


def _power(state: State) -> Power:
    return Power.BUSY if state.work else state.power


def _refuse_unless_stopped(name: str, state: State) -> None:
    if not state.work and state.power not in (Power.STOPPED, Power.BUSY):
        raise Refused(f"{name} is {state.power}", "The container still runs: stop it first.")
