"""How web talks to browsers: whoever sends or reads slowly holds no thread that others wait for."""

from __future__ import annotations

import errno
import re
import selectors
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

# As much of a request is waited for without a thread; all but uploads and long texts are smaller.
AT_ONCE = 64 * 1024
# As much of an answer waits without a thread for whoever reads it; all but downloads are smaller.
KEPT = 1024 * 1024
# What is larger goes by threads of its own, so many in each process.
SLOW_THREADS = 4
# Seconds that nothing need move, and the bytes a second that earn such seconds anew.
PATIENCE = 20.0
PACE = 4 * 1024
# Seconds until a browser has closed its end: closed at once, it might lose what it was told last.
LINGER = 2.0

_FIELDS = re.compile(rb"\r\n(content-length|transfer-encoding|expect):[ \t]*([^\r]*)", re.I)


class Client(socket.socket):
    """The panel's end of a connection. Its loop never waits; a thread waits PATIENCE, and less the
    more often it has to, then the connection counts as broken."""

    def __init__(self, accepted: socket.socket) -> None:
        super().__init__(fileno=accepted.detach())
        self.setblocking(False)
        self.came = bytearray()
        self.left = bytearray()
        self._patience = PATIENCE

    def take(self) -> bool:
        """Read what is there of a request, up to AT_ONCE; False once nothing more will come."""
        try:
            piece = super().recv(AT_ONCE)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.came += piece
        return bool(piece)

    def awaited(self) -> int:
        """The bytes of the request still to come; more than AT_ONCE where nobody can tell."""
        end = self.came.find(b"\r\n\r\n", 2)  # an empty line may come before it
        if end < 0:
            return 1
        said = {name.lower(): value for name, value in _FIELDS.findall(bytes(self.came[:end]))}
        length = said.pop(b"content-length", b"0").strip()
        if said or not re.fullmatch(rb"\d{1,18}", length):
            return AT_ONCE + 1
        return max(0, end + 4 + int(length) - len(self.came))

    def give(self) -> bool:
        """Send what goes at once; whether that was all."""
        self.setblocking(False)
        try:
            while self.left:
                del self.left[: super().send(self.left)]
        except BlockingIOError:
            return False
        except OSError:
            self.left.clear()
        return True

    def recv(self, size: int, flags: int = 0) -> bytes:
        began = self._wait()
        try:
            piece = super().recv(size, flags)
        except TimeoutError as late:
            raise ConnectionResetError(errno.ECONNRESET, "too slow") from late
        self._waited(began, len(piece))
        return piece

    def sendall(self, data: Any, flags: int = 0) -> None:
        self.left += data
        if self.give():
            return
        while len(self.left) > KEPT:
            began = self._wait()
            try:
                sent = super().send(self.left)
            except TimeoutError as late:
                self.left.clear()
                raise ConnectionResetError(errno.ECONNRESET, "too slow") from late
            del self.left[:sent]
            self._waited(began, sent)

    def _wait(self) -> float:
        self.settimeout(max(self._patience, 0.001))
        return time.monotonic()

    def _waited(self, began: float, moved: int) -> None:
        left = self._patience - (time.monotonic() - began)
        self._patience = min(PATIENCE, left + moved / PACE)


class Worker(ThreadWorker):
    """Gunicorn's own with threads, one request a connection. A thread is for a request that is
    there, and is free once it is answered: its loop sees to what comes before and after. Where
    gunicorn itself speaks https, it does so in its own way."""

    def init_process(self) -> None:
        self.slow = ThreadPoolExecutor(SLOW_THREADS)
        super().init_process()

    def enqueue_req(self, conn: TConn) -> None:
        """Of a connection that is new, or from which more has come."""
        if self.cfg.is_ssl:
            super().enqueue_req(conn)
            return
        if not isinstance(conn.sock, Client):
            conn.sock = Client(conn.sock)
            conn.timeout = time.monotonic() + PATIENCE
        if not conn.sock.take() or time.monotonic() > conn.timeout:
            self._end(conn)
            return
        awaited = conn.sock.awaited()
        if awaited and len(conn.sock.came) + awaited <= AT_ONCE:
            self._await(conn, selectors.EVENT_READ, self.on_pending_socket_readable)
            return
        done = (self.slow if awaited else self.tpool).submit(self.handle, conn)
        done.add_done_callback(partial(self.method_queue.defer, self.finish_request, conn))

    def handle(self, conn: TConn) -> object:
        if isinstance(conn.sock, Client):
            conn.init()
            conn.parser.unreader.unread(bytes(conn.sock.came))
        return super().handle(conn)

    def finish_request(self, conn: TConn, done: Future) -> None:
        if not isinstance(conn.sock, Client):
            super().finish_request(conn, done)
            return
        conn.timeout = time.monotonic() + PATIENCE + len(conn.sock.left) / PACE
        self._hand_out(conn)

    def murder_pending(self) -> None:
        """End those whose time is over; at the end of this process, also those that never began."""
        now = time.monotonic()
        for conn in list(self.pending_conns):
            unused = isinstance(conn.sock, Client) and not conn.sock.came
            if conn.timeout < now or (unused and not self.alive):
                self._no_longer_await(conn)
                self._end(conn)

    def _hand_out(self, conn: TConn) -> None:
        if not conn.sock.give():
            self._await(conn, selectors.EVENT_WRITE, self._on_writable)
            return
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._end(conn)
            return
        conn.timeout = time.monotonic() + LINGER
        self._await(conn, selectors.EVENT_READ, self._on_leaving)

    def _on_writable(self, conn: TConn, _: object) -> None:
        self._no_longer_await(conn)
        self._hand_out(conn)

    def _on_leaving(self, conn: TConn, _: object) -> None:
        conn.sock.came.clear()
        if not conn.sock.take():
            self._no_longer_await(conn)
            self._end(conn)

    def _await(self, conn: TConn, event: int, then: Any) -> None:
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, event, partial(then, conn))

    def _no_longer_await(self, conn: TConn) -> None:
        self.pending_conns.remove(conn)
        self.poller.unregister(conn.sock)

    def _end(self, conn: TConn) -> None:
        self.nr_conns -= 1
        conn.close()
