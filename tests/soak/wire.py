"""A wire between the panel and a daemon, that can be cut."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from tests.incus_node import free_port


class Wire:
    """Carries TCP connections from a port of its own to `port`, on loopback."""

    def __init__(self, port: int) -> None:
        self.port = free_port()
        self._far = port
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._near: socket.socket | None = None
        self.join()

    def join(self) -> None:
        """From now on connections are taken."""
        self._near = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=[self._near], daemon=True).start()

    def cut(self) -> None:
        """All connections break, and no new one is taken."""
        if self._near:
            # Closing alone does not wake the thread that waits in accept().
            with suppress(OSError):
                self._near.shutdown(socket.SHUT_RDWR)
            self._near.close()
            self._near = None
        with self._lock:
            ends, self._ends = self._ends, set()
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self, near: socket.socket) -> None:
        while True:
            try:
                here, _ = near.accept()
            except OSError:
                return
            try:
                there = socket.create_connection(("127.0.0.1", self._far), timeout=5)
            except OSError:
                here.close()
                continue
            there.settimeout(None)
            with self._lock:
                self._ends |= {here, there}
            for one, other in ((here, there), (there, here)):
                threading.Thread(target=self._carry, args=[one, other], daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        with suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._ends -= {one, other}
        one.close()
