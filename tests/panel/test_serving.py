"""Whoever sends, reads or waits keeps nobody waiting; a process works at one page at a time."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from panel import serving
from panel.serving import Client
from tests.incus_node import ROOT, free_port, wait_until

GET = b"GET /?bytes=%d HTTP/1.1\r\nHost: panel\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: panel\r\n"
# More than there are threads, of either kind.
MANY = 12


@contextmanager
def serve(application: str) -> Iterator[int]:
    """Web as it ships, but one process with few threads."""
    port = free_port()
    options = ("--workers", "1", "--threads", "2", "--bind", f"127.0.0.1:{port}")
    command = (sys.executable, "-m", "gunicorn", application, *options)
    with subprocess.Popen(command, cwd=ROOT) as web:
        try:
            wait_until(lambda: answers(port))
            yield port
        finally:
            web.terminate()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serve("tests.panel.counted") as port:
        yield port


def answers(port: int) -> bool:
    with suppress(OSError):
        connect(port, b"").close()
        return True
    return False


def connect(port: int, sent: bytes) -> socket.socket:
    browser = socket.socket()
    # So that the system keeps little of what nobody reads.
    browser.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    browser.connect(("127.0.0.1", port))
    browser.sendall(sent)
    return browser


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\nHost: pa",
        POST + b"Content-Length: 1000\r\n\r\na",
        b"\r\n" + POST + b"content-length:1000\r\n\r\na",
        POST + b"Content-Length: 1000000\r\n\r\na",
        POST + b"Content-Length: " + b"1" * 5000 + b"\r\n\r\na",
        POST + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\na",
        POST + b"Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n",
        GET % 655360,
        GET % 0,
    ],
)
def test_many_who_send_or_read_nothing_more_keep_nobody_waiting(port: int, sent: bytes) -> None:
    many = [connect(port, sent) for _ in range(MANY)]
    time.sleep(0.2)
    soon = serving.PATIENCE / 2
    assert httpx.get(f"http://127.0.0.1:{port}/", timeout=soon).text == "0"
    for browser in many:
        browser.close()


@pytest.mark.parametrize("size", [1000, 300_000])
def test_what_is_sent_bit_by_bit_arrives_whole(port: int, size: int) -> None:
    with connect(port, POST + b"Content-Length: %d\r\n\r\n" % size) as browser:
        for _ in range(10):
            browser.sendall(b"a" * (size // 10))
            time.sleep(0.05)
        answer = b"".join(iter(lambda: browser.recv(4096), b""))
    assert answer.endswith(b"\r\n\r\n%d" % size)


@pytest.mark.parametrize("size", [655360, 6553600])
def test_what_is_read_bit_by_bit_arrives_whole(port: int, size: int) -> None:
    with connect(port, GET % size) as browser:
        time.sleep(0.2)
        answer = b"".join(iter(lambda: browser.recv(65536), b""))
    assert len(answer.partition(b"\r\n\r\n")[2]) == size


def nap(port: int, seconds: float, says: Path | str = "") -> str:
    address = f"http://127.0.0.1:{port}/?nap={seconds}&says={says}"
    return httpx.get(address, timeout=60).text


def test_while_a_request_is_at_work_the_next_one_waits_for_whoever_has_time(
    tmp_path: Path,
) -> None:
    with serve("tests.panel.counted:at_work_for(5.0)") as port, ThreadPoolExecutor(4) as people:
        first = people.submit(nap, port, 1.0, tmp_path / "naps")
        # The others come while it is at work. Of two that are accepted before they have sent
        # anything, one could not be left to another process any more.
        wait_until((tmp_path / "naps").exists)
        assert [*people.map(nap, [port] * 3, [0.1] * 3), first.result()] == ["1"] * 4


def test_a_request_that_waits_for_something_keeps_no_other_from_beginning(port: int) -> None:
    with ThreadPoolExecutor(2) as people:
        assert "2" in people.map(nap, [port] * 2, [2.0] * 2)


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Client, socket.socket]]:
    """The panel's end of a connection, and a browser's, where a thread waits a second and a half
    and a hundred bytes a second keep it waiting."""
    monkeypatch.setattr(serving, "PATIENCE", 1.5)
    monkeypatch.setattr(serving, "PACE", 100)
    ours, theirs = socket.socketpair()
    with theirs, Client(ours) as client:
        yield client, theirs


def send_every(seconds: float, piece: bytes, to: socket.socket) -> None:
    def send() -> None:
        with suppress(OSError):  # the test may be over
            for _ in range(20):
                time.sleep(seconds)
                to.sendall(piece)

    threading.Thread(target=send, daemon=True).start()


def test_who_sends_a_byte_now_and_then_is_given_up(ends: tuple[Client, socket.socket]) -> None:
    client, browser = ends
    send_every(0.1, b"a", browser)
    with pytest.raises(ConnectionResetError):
        all(client.recv(10) for _ in range(20))


def test_who_is_slow_and_goes_on_is_waited_for(ends: tuple[Client, socket.socket]) -> None:
    client, browser = ends
    send_every(0.1, b"a" * 20, browser)
    received = 0
    while received < 20 * 20:
        received += len(client.recv(400))


def test_who_does_not_read_a_large_answer_is_given_up(
    ends: tuple[Client, socket.socket],
) -> None:
    client, _ = ends
    with pytest.raises(ConnectionResetError):
        client.sendall(b"x" * 4 * serving.KEPT)
    assert client.send_unsent(), "what nobody reads is kept"


def test_no_thread_waits_for_who_reads_a_small_answer(
    ends: tuple[Client, socket.socket],
) -> None:
    client, browser = ends
    client.sendall(b"x" * serving.KEPT)
    assert not client.send_unsent()
    read = 0
    while not client.send_unsent() or read < serving.KEPT:
        read += len(browser.recv(65536))
    assert read == serving.KEPT
