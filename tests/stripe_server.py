"""A small Stripe for tests: sessions, refunds and signed notices, over http on loopback."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

SECRET = "whsec_test"
DAY = 24 * 60 * 60  # seconds for which a session can be paid


class Stripe:
    """What it has done, and how it behaves: tests change that while it runs."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sessions: list[dict[str, Any]] = []
        self.wanted: list[dict[str, str]] = []  # what each of them was to be
        self.refunds: list[dict[str, Any]] = []
        self.keys: list[str] = []  # of idempotency, of each time that it was asked for a refund
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked = threading.Event()
        self.hangs_up = False  # once it has done what it was asked for
        self.refuses: tuple[int, str] | None = None
        self._answers: dict[str, dict[str, Any]] = {}

    def answer(self, path: str, told: dict[str, str], key: str) -> tuple[int, dict[str, Any]]:
        """Do what is asked; the same again where it bears the same key."""
        if path == "/v1/refunds":
            self.keys.append(key)
        if self.refuses:
            status, words = self.refuses
            return status, {"error": {"type": "invalid_request_error", "message": words}}
        if key not in self._answers:
            self._answers[key] = self._make(path, told)
        return 200, self._answers[key]

    def look(self, path: str) -> tuple[int, dict[str, Any]]:
        """A session as it is now."""
        if self.refuses:
            status, words = self.refuses
            return status, {"error": {"type": "invalid_request_error", "message": words}}
        return 200, next(one for one in self.sessions if path.endswith(f"/{one['id']}"))

    def _make(self, path: str, told: dict[str, str]) -> dict[str, Any]:
        if path == "/v1/refunds":
            made: dict[str, Any] = {"id": f"re_{len(self.refunds) + 1}", "object": "refund", **told}
            self.refunds.append(made)
            return made
        self.wanted.append(told)
        number, price = len(self.sessions) + 1, "line_items[0][price_data]"
        made = {
            "id": f"cs_{number}", "object": "checkout.session", "status": "open",
            "payment_status": "unpaid", "payment_intent": None,
            "url": f"https://checkout.stripe.com/{number}",
            "expires_at": int(time.time()) + DAY,
            "client_reference_id": told["client_reference_id"],
            "amount_total": int(told[f"{price}[unit_amount]"]),
            "currency": told[f"{price}[currency]"],
            "metadata": {k[9:-1]: v for k, v in told.items() if k.startswith("metadata[")},
            "product": told[f"{price}[product_data][name]"],
        }  # fmt: skip
        self.sessions.append(made)
        return made


def notice(kind: str, session: dict[str, Any], **now: Any) -> bytes:
    """An event about a session, as it is now."""
    event = {"id": "evt_1", "object": "event", "type": kind, "data": {"object": session | now}}
    return json.dumps(event).encode()


def signature(body: bytes, *, secret: str = SECRET, age: float = 0.0) -> str:
    """As https://docs.stripe.com/webhooks#verify-manually has it."""
    at = int(time.time() - age)
    signed = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256)
    return f"t={at},v1={signed.hexdigest()}"


@contextmanager
def stripe_server() -> Iterator[Stripe]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            sent = self.rfile.read(length).decode()
            told = {k: v[0] for k, v in parse_qs(sent, keep_blank_values=True).items()}
            served.asked.set()
            served.may_answer.wait(10)
            key = self.headers.get("Idempotency-Key", "")
            self._say(*served.answer(self.path, told, key))

        def do_GET(self) -> None:
            self._say(*served.look(self.path))

        def _say(self, status: int, answer: dict[str, Any]) -> None:
            if served.hangs_up:
                self.close_connection = True
                return
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Stripe(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.may_answer.set()
        server.shutdown()
        server.server_close()
