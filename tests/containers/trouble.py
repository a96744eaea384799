"""What may go wrong in the middle of something, for tests that try all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import GeneratorType
from typing import Any

from django.db import connection, transaction

from containers.drivers import Driver
from tests.conftest import Clock
from tests.containers.acts import Killed


@dataclass
class Trouble:
    """Something that happens once, at the `at`-th sign of a driver, counted from 0: before a
    node is asked, while it works, or after it has done what it was asked for."""

    at: int
    act: Callable[[], None]

    def comes(self) -> None:
        self.at -= 1
        if self.at == -1:
            self.act()


class Troubled:
    """A driver in whose calls the trouble comes."""

    def __init__(self, driver: Driver, trouble: Callable[[], Trouble | None]) -> None:
        self._driver, self._trouble = driver, trouble

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._driver, name)

        def call(*arguments: Any, **named: Any) -> Any:
            self._come()
            plain = [a._driver if isinstance(a, Troubled) else a for a in arguments]
            result = real(*plain, **named)
            if isinstance(result, GeneratorType):
                return self._follow(result)
            self._come()
            return result

        return call if callable(real) else real

    def _follow(self, steps: Iterator[Any]) -> Iterator[Any]:
        for step in steps:
            yield step
            self._come()
        self._come()

    def _come(self) -> None:
        if trouble := self._trouble():
            trouble.comes()


@contextmanager
def killed_at_write(number: int | None) -> Iterator[None]:
    """The process dies instead of making its write of this number, counted from 0; None
    spares it. What it had not committed by then never happened, and it does nothing more."""
    left = number

    def execute(go_on: Any, sql: str, *more: Any) -> Any:
        nonlocal left
        if left is not None and sql.startswith(("INSERT", "UPDATE", "DELETE")):
            left -= 1
            if left < 0:
                raise Killed
        return go_on(sql, *more)

    with connection.execute_wrapper(execute), killed():
        yield


@contextmanager
def killed() -> Iterator[None]:
    """Others go on after the process has died."""
    try:
        yield
    except Killed:
        # A transaction that Django itself makes (`bulk_create`) is a part of the test's own here.
        if connection.in_atomic_block:
            transaction.set_rollback(False)


class VirtualTime:
    """Stands for the module `time` where a simulated node looks at it: to sleep is to let the
    clock go on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def time(self) -> float:
        now: datetime = self._clock.now()
        return now.timestamp()

    monotonic = time

    def sleep(self, seconds: float) -> None:
        self._clock.advance(seconds)
