"""Many browsers in one thread, each with a connection of its own that is kept where it is not
closed: how long they wait for their answers.

They take processor time from what they measure; `Answers.own` says how much.
"""

from __future__ import annotations

import asyncio
import gc
import random
import re
import resource
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass
class Answers:
    """What came of it: `waits` in seconds, from when a question was due; `passed` in seconds;
    `own` in cores; how many `connections` were opened."""

    waits: list[float] = field(default_factory=list)
    passed: float = 0.0
    own: float = 0.0
    connections: int = 0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.waits) / self.passed

    def within(self, share: float) -> float:
        """Seconds within which this share of the answers came."""
        return sorted(self.waits)[min(int(share * len(self.waits)), len(self.waits) - 1)]


@dataclass(frozen=True)
class Question:
    """A GET of `path`, and the status that the answer must have."""

    port: int
    path: str
    status: int = 200
    headers: tuple[str, ...] = ()

    def __bytes__(self) -> bytes:
        lines = (f"GET {self.path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", *self.headers)
        return "\r\n".join([*lines, "", ""]).encode()


def ask_without_pause(question: Question, *, clients: int, seconds: float) -> Answers:
    """Each of so many clients asks again as soon as it has its answer."""

    async def client(answers: Answers, until: float) -> None:
        browser = _Browser(question, answers)
        while (due := time.monotonic()) < until:
            await browser.ask(due)
        browser.leave()

    return _ask(lambda answers, until: [client(answers, until) for _ in range(clients)], seconds)


def ask_every(question: Question, pause: float, *, browsers: int, seconds: float) -> Answers:
    """Each of so many browsers asks every `pause` seconds, whether or not the others have their
    answers: where the panel falls behind, waits grow."""
    dice = random.Random(browsers)

    async def browse(answers: Answers, until: float) -> None:
        browser = _Browser(question, answers)
        due = until - seconds + dice.uniform(0, pause)
        while due < until:
            await asyncio.sleep(due - time.monotonic())
            await browser.ask(due)
            due += pause
        browser.leave()

    return _ask(lambda answers, until: [browse(answers, until) for _ in range(browsers)], seconds)


def _ask(
    people: Callable[[Answers, float], list[Coroutine[Any, Any, None]]], seconds: float
) -> Answers:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    answers = Answers()

    async def everybody() -> None:
        await asyncio.gather(*people(answers, time.monotonic() + seconds))

    # What pytest keeps in memory is none of the browsers' garbage.
    gc.collect()
    gc.freeze()
    began, own = time.monotonic(), time.process_time()
    asyncio.run(everybody())
    answers.passed = time.monotonic() - began
    answers.own = (time.process_time() - own) / answers.passed
    gc.unfreeze()
    return answers


class _Browser:
    def __init__(self, question: Question, answers: Answers) -> None:
        self._question, self._answers = question, answers
        self._connection: _Connection | None = None

    async def ask(self, due: float) -> None:
        """Ask, and once more where the server closed the connection as it was asked."""
        kept = self._connection
        if kept is None or kept.closed or (status := await kept.ask(bytes(self._question))) is None:
            self._connection = await self._connect()
            status = await self._connection.ask(bytes(self._question))
        self._answers.waits.append(time.monotonic() - due)
        assert status == self._question.status, f"{self._question.path}: {status}"

    async def _connect(self) -> _Connection:
        self._answers.connections += 1
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(_Connection, "127.0.0.1", self._question.port)
        return made

    def leave(self) -> None:
        if self._connection is not None:
            self._connection.close()


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.closed = False
        self._heard = b""
        self._answer: asyncio.Future[int | None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    async def ask(self, question: bytes) -> int | None:
        """The status of the whole answer; None where there came none."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(question)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._heard += data
        head, complete, body = self._heard.partition(b"\r\n\r\n")
        if not complete:
            return
        length = _LENGTH.search(head)
        if self._answer and len(body) >= (int(length[1]) if length else 0):
            self._answer.set_result(int(head.split(b" ", 2)[1]))
            self._answer, self._heard = None, b""

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._answer:
            self._answer.set_result(None)
            self._answer = None

    def close(self) -> None:
        self._transport.close()
