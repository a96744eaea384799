"""Gunicorn's worker class: a browser that sends or reads slowly holds no thread of the pool, and a
process that is at work leaves the next request to another one."""

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

# Bytes of a request that are read without a thread; only uploads and long texts are larger.
AT_ONCE = 64 * 1024
# Bytes of an answer that are sent without a thread; only downloads are larger.
KEPT = 1024 * 1024
# Threads in each process for requests that are larger.
SLOW_THREADS = 4
# Seconds that a connection may stand still in all, and the bytes for which it gets back one of
# them.
PATIENCE = 20.0
PACE = 4 * 1024
# Seconds for which a request counts as at work; after that, as waiting for a node or a database.
MOMENT = 0.03
# Seconds for a browser to close its end: closed at once, it might lose the end of the answer.
LINGER = 2.0

_FIELDS = re.compile(rb"\r\n(content-length|transfer-encoding|expect):[ \t]*([^\r]*)", re.I)


class Client(socket.socket):
    """The panel's end of a connection. The event loop never waits for it. A thread may wait for it
    PATIENCE seconds in all: each wait uses them up, each PACE bytes give one second back, and when
    none is left, the connection counts as broken."""

    def __init__(self, accepted: socket.socket) -> None:
        super().__init__(fileno=accepted.detach())
        self.setblocking(False)
        self.received = bytearray()
        self.unsent = bytearray()
        self._patience = PATIENCE

    def receive(self) -> bool:
        """Read what has arrived of a request, up to AT_ONCE; False once nothing more will come."""
        try:
            piece = super().recv(AT_ONCE)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.received += piece
        return bool(piece)

    def missing(self) -> int:
        """The bytes of the request that are still to come; more than AT_ONCE where its header does
        not say."""
        end = self.received.find(b"\r\n\r\n", 2)  # an empty line may come before it
        if end < 0:
            return 1
        said = {name.lower(): value for name, value in _FIELDS.findall(bytes(self.received[:end]))}
        length = said.pop(b"content-length", b"0").strip()
        if said or not re.fullmatch(rb"\d{1,18}", length):
            return AT_ONCE + 1
        return max(0, end + 4 + int(length) - len(self.received))

    def send_unsent(self) -> bool:
        """Send as much as can be sent without waiting; whether that was all."""
        self.setblocking(False)
        try:
            while self.unsent:
                del self.unsent[: super().send(self.unsent)]
        except BlockingIOError:
            return False
        except OSError:
            self.unsent.clear()
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
        self.unsent += data
        if self.send_unsent():
            return
        while len(self.unsent) > KEPT:
            began = self._wait()
            try:
                sent = super().send(self.unsent)
            except TimeoutError as late:
                self.unsent.clear()
                raise ConnectionResetError(errno.ECONNRESET, "too slow") from late
            del self.unsent[:sent]
            self._waited(began, sent)

    def _wait(self) -> float:
        self.settimeout(max(self._patience, 0.001))
        return time.monotonic()

    def _waited(self, began: float, moved: int) -> None:
        left = self._patience - (time.monotonic() - began)
        self._patience = min(PATIENCE, left + moved / PACE)


class Worker(ThreadWorker):
    """Gunicorn's `gthread`, with one request for each connection. The event loop reads the request
    before a thread gets it, and sends the answer after the thread is free again. Where gunicorn
    itself speaks https, it works as it always does. `begun` says when the requests began that have
    a thread."""

    def init_process(self) -> None:
        self.slow = ThreadPoolExecutor(SLOW_THREADS)
        self.begun: dict[TConn, float] = {}
        super().init_process()

    def enqueue_req(self, conn: TConn) -> None:
        """Called for a new connection, and whenever more of a request has arrived."""
        if self.cfg.is_ssl:
            super().enqueue_req(conn)
            return
        if not isinstance(conn.sock, Client):
            conn.sock = Client(conn.sock)
            conn.timeout = time.monotonic() + PATIENCE
        if not conn.sock.receive() or time.monotonic() > conn.timeout:
            self._end(conn)
            return
        missing = conn.sock.missing()
        if missing and len(conn.sock.received) + missing <= AT_ONCE:
            self._await(conn, selectors.EVENT_READ, self.on_pending_socket_readable)
            return
        self.begun[conn] = time.monotonic()
        done = (self.slow if missing else self.tpool).submit(self.handle, conn)
        done.add_done_callback(partial(self.method_queue.defer, self.finish_request, conn))

    def handle(self, conn: TConn) -> object:
        if isinstance(conn.sock, Client):
            conn.init()
            conn.parser.unreader.unread(bytes(conn.sock.received))
        return super().handle(conn)

    def finish_request(self, conn: TConn, done: Future) -> None:
        self.begun.pop(conn, None)
        if not isinstance(conn.sock, Client):
            super().finish_request(conn, done)
            return
        conn.timeout = time.monotonic() + PATIENCE + len(conn.sock.unsent) / PACE
        self._send_rest(conn)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Called for each turn of the loop. While a request is at work, new connections stay in the
        queue of the system: threads of one process would only take turns."""
        a_moment_ago = time.monotonic() - MOMENT
        if self._accepting and any(began > a_moment_ago for began in self.begun.values()):
            self.set_accept_enabled(False)
            timeout = min(timeout, MOMENT)
        super().wait_for_and_dispatch_events(timeout)

    def murder_pending(self) -> None:
        """Close connections whose time is over; when this process ends, also those on which nothing
        has arrived."""
        now = time.monotonic()
        for conn in list(self.pending_conns):
            unused = isinstance(conn.sock, Client) and not conn.sock.received
            if conn.timeout < now or (unused and not self.alive):
                self._stop_awaiting(conn)
                self._end(conn)

    def _send_rest(self, conn: TConn) -> None:
        if not conn.sock.send_unsent():
            self._await(conn, selectors.EVENT_WRITE, self._on_writable)
            return
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._end(conn)
            return
        conn.timeout = time.monotonic() + LINGER
        self._await(conn, selectors.EVENT_READ, self._on_closing)

    def _on_writable(self, conn: TConn, _: object) -> None:
        self._stop_awaiting(conn)
        self._send_rest(conn)

    def _on_closing(self, conn: TConn, _: object) -> None:
        conn.sock.received.clear()
        if not conn.sock.receive():
            self._stop_awaiting(conn)
            self._end(conn)

    def _await(self, conn: TConn, event: int, then: Any) -> None:
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, event, partial(then, conn))

    def _stop_awaiting(self, conn: TConn) -> None:
        self.pending_conns.remove(conn)
        self.poller.unregister(conn.sock)

    def _end(self, conn: TConn) -> None:
        self.nr_conns -= 1
        conn.close()
