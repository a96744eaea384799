"""A line to a server on this machine, which can be cut and mended while people talk."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Line:
    """Listens on `port` of the loopback, and hands on what is said to `server`."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._listen()

    def cut(self) -> None:
        """Nobody gets through any more, and whoever talks is cut off."""
        for end in [self._listener, *self._ends]:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def mend(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listen()

    def _listen(self) -> None:
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                caller, _ = listener.accept()
                try:
                    called = socket.create_connection(("127.0.0.1", self._server), timeout=5)
                except OSError:  # nobody is there just now
                    caller.close()
                    continue
                called.settimeout(None)
                self._ends += [caller, called]
                for ends in ((caller, called), (called, caller)):
                    threading.Thread(target=_hand_on, args=ends, daemon=True).start()


def _hand_on(heard: socket.socket, told: socket.socket) -> None:
    with suppress(OSError):
        while said := heard.recv(65536):
            told.sendall(said)
    for end in (heard, told):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
