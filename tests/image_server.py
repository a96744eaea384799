"""A small image server for tests: simplestreams over https on loopback, with one image or none."""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.certificate import self_signed

PIECES = 20


class Streams:
    """What one server serves, and how: tests change it while it runs."""

    def __init__(self, url: str, certificate: Path) -> None:
        self.url = url
        self.certificate = certificate
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, int]] = []
        self.pause = 0.0  # seconds between two of the pieces of an image
        self.breaks_off = False  # in the middle of an image
        self.version = 0
        self.offer()

    @property
    def setting(self) -> dict[str, str]:
        """As BERTH_IMAGE_SERVERS has it."""
        url, certificate = self.url, str(self.certificate)
        return {"url": url, "protocol": "simplestreams", "certificate": certificate}

    def offer(
        self, aliases: str = "", image: bytes = b"", kind: str = "incus_combined.tar.gz"
    ) -> None:
        """Serve `image` under these aliases, separated by commas, and nothing else."""
        item: dict[str, Any] = {"ftype": kind, "path": "image.tar.gz", "size": len(image)}
        item |= {"sha256": hashlib.sha256(image).hexdigest()}
        product: dict[str, Any] = {
            "aliases": aliases,
            "arch": "amd64",
            "os": "BusyBox",
            "release": "1",
        }
        product |= {"release_title": "1", "versions": {"20260101_00:00": {"items": {kind: item}}}}
        products = {"busybox:1:amd64": product} if aliases else {}
        path = "streams/v1/images.json"
        entry = {"datatype": "image-downloads", "path": path, "products": list(products)}
        self._put("streams/v1/index.json", {"format": "index:1.0", "index": {"images": entry}})
        self._put(path, {"format": "products:1.0", "products": products})
        self.files["image.tar.gz"] = image
        self.version += 1

    def _put(self, path: str, content: Any) -> None:
        self.files[path] = json.dumps(content).encode()


@contextmanager
def simplestreams(folder: Path) -> Iterator[Streams]:
    """A server at work until the block ends; its key and certificate are made in `folder`."""
    key, certificate = self_signed("images")
    (folder / "server.key").write_bytes(key)
    (folder / "server.crt").write_bytes(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    httpd.socket = context.wrap_socket(
        httpd.socket, server_side=True, do_handshake_on_connect=False
    )
    streams = Streams(f"https://127.0.0.1:{httpd.server_port}", folder / "server.crt")
    httpd.streams = streams  # type: ignore[attr-defined]
    httpd.handle_error = lambda *_: None  # type: ignore[method-assign]  # Incus tries http first
    thread = threading.Thread(target=httpd.serve_forever, args=[0.05], daemon=True)
    thread.start()
    try:
        yield streams
    finally:
        httpd.shutdown()
        httpd.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        streams: Streams = self.server.streams  # type: ignore[attr-defined]
        content = streams.files.get(self.path.lstrip("/"))
        tag = f'"{streams.version}"'
        unchanged = self.headers["If-None-Match"] == tag
        status = 404 if content is None else 304 if unchanged else 200
        streams.asked.append((self.path, status))
        self.send_response(status)
        self.send_header("Content-Length", str(len(content or b"")) if status == 200 else "0")
        self.send_header("ETag", tag)
        self.end_headers()
        if content and status == 200:
            self._send(streams, content)

    def _send(self, streams: Streams, content: bytes) -> None:
        if not self.path.endswith(".gz"):
            self.wfile.write(content)
            return
        size = len(content) // PIECES + 1
        for begin in range(0, len(content), size):
            if streams.breaks_off and begin > len(content) // 2:
                self.close_connection = True
                return
            self.wfile.write(content[begin : begin + size])
            time.sleep(streams.pause)

    def log_message(self, *args: Any) -> None:
        """Tests look at `asked`."""
