"""HTTP to one Incus server: both sides prove who they are; nothing is waited for longer than the
time-out, and the end of an answer no longer than twice that."""

from __future__ import annotations

import logging
import os
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpcore
import httpx

from containers.drivers import NoSuchInstance, Unreachable

from .errors import NotFound, NotTrusted, error
from .limits import limit, limited, refuse_compressed

logger = logging.getLogger(__name__)

# Seconds for which a connection that nobody uses is kept: longer than from one look to the next,
# which httpx's own five are not. Each look at each node would begin with a handshake of TLS.
_KEPT = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=30)
# Bytes of an answer: the list of a server with ten thousand containers has fewer.
_LARGEST = 64 * 1024 * 1024


@dataclass(frozen=True)
class Server:
    """How to reach a server, or a member of a cluster.

    `address` is an `https://` URL, or the path of a local socket; then neither `certificate` (the
    server's, PEM: it is pinned, and tells one server from others) nor `identity` (a PEM file with
    the panel's own key and certificate) is needed. `timeout` is in seconds, 2 at least. Only
    `project` is seen of the server's projects.
    """

    address: str
    certificate: str = ""
    identity: Path | None = None
    project: str = "berth"
    timeout: float = 5.0

    def __post_init__(self) -> None:
        if self.timeout < 2:
            raise ValueError("a server needs two seconds at least to answer")

    @property
    def is_local(self) -> bool:
        return self.address.startswith("/")

    def tls(self) -> ssl.SSLContext:
        """Trusts the pinned certificate and no other, whatever host name it was made for.
        Raises NotTrusted where the panel has no certificate that can be read."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            context.load_verify_locations(cadata=self.certificate)
            if self.identity:
                context.load_cert_chain(self.identity)
        except (OSError, ValueError) as failure:  # ssl.SSLError is an OSError
            raise NotTrusted(
                f"{self.address}: a certificate cannot be read: {failure}"
            ) from failure
        return context


class Client:
    """Asks one server. May be shared between threads; a forked process opens connections of
    its own. Opens nothing before the first question.

    Every method raises Unreachable (NotTrusted where the server shuts the panel out), and for
    what the server refuses the error that its answer stands for.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self._lock = threading.Lock()
        self._opened: tuple[int, httpx.Client] | None = None

    def get(self, path: str, *, within: float | None = None, **params: str | int) -> Any:
        """The metadata of an answer. `within`, in seconds, takes the place of the time-out."""
        return self._ask("GET", path, params, within=within)["metadata"]

    def find(self, path: str, *, within: float | None = None, **params: str | int) -> Any:
        """The same, or None where there is no such thing."""
        try:
            return self.get(path, within=within, **params)
        except (NotFound, NoSuchInstance):
            return None

    def change(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, **params: str | int
    ) -> dict[str, Any]:
        """Ask for a change. What began in the background comes back as its operation, {} for
        what is done already."""
        answer = self._ask(method, path, params, body)
        return answer["metadata"] or {} if answer["type"] == "async" else {}

    @property
    def is_trusted(self) -> bool:
        """Whether the server lets the panel in. It answers this one question to everybody."""
        return bool(self.get("/1.0")["auth"] == "trusted")

    @contextmanager
    def upgraded(self, path: str, protocol: str) -> Iterator[httpcore.NetworkStream]:
        """A connection of its own that speaks another protocol, until the block ends."""
        headers = {"Connection": "Upgrade", "Upgrade": protocol}
        params = {"project": self.server.project}
        with self._errors(), ExitStack() as opened:
            with limited(2 * self.server.timeout, _LARGEST):
                answer = self._http().stream("GET", path, headers=headers, params=params)
                response = opened.enter_context(answer)
                if response.status_code != httpx.codes.SWITCHING_PROTOCOLS:
                    response.read()
                    self._checked(response)
                    raise error(f"{path} does not switch to {protocol}")
            yield response.extensions["network_stream"]

    def close(self) -> None:
        """Close what is open; the next question opens it again."""
        with self._lock:
            if self._opened and self._opened[0] == os.getpid():
                self._opened[1].close()
            self._opened = None

    def _http(self) -> httpx.Client:
        with self._lock:
            if self._opened is None or self._opened[0] != os.getpid():
                self._opened = os.getpid(), self._open()
            return self._opened[1]

    def _open(self) -> httpx.Client:
        server = self.server
        if server.is_local:
            transport = httpx.HTTPTransport(uds=server.address)
        else:
            transport = httpx.HTTPTransport(verify=server.tls(), limits=_KEPT)
        base = "http://incus" if server.is_local else server.address
        # Proxies and netrc of the environment are none of a node's business.
        client = httpx.Client(
            base_url=base, transport=transport, timeout=server.timeout, trust_env=False
        )
        limit(client)
        refuse_compressed(client)
        return client

    def _ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | int],
        body: Mapping[str, Any] | None = None,
        within: float | None = None,
    ) -> dict[str, Any]:
        timeout = within or self.server.timeout
        with self._errors(), self._logged(method, path) as told, limited(2 * timeout, _LARGEST):
            response = self._http().request(
                method,
                path,
                params={"project": self.server.project, **params},
                json=body,
                timeout=timeout,
            )
            told["status"] = response.status_code
        return self._checked(response)

    @contextmanager
    def _logged(self, method: str, path: str) -> Iterator[dict[str, Any]]:
        """Log the call, with neither what was sent nor what came back. Questions are many, and are
        logged at DEBUG only."""
        told: dict[str, Any] = {"method": method, "path": path, "server": self.server.address}
        began = time.perf_counter()
        try:
            yield told
        except Exception as failure:
            told["error"] = repr(failure)
            raise
        finally:
            told["ms"] = round((time.perf_counter() - began) * 1000)
            logger.log(logging.DEBUG if method == "GET" else logging.INFO, "node call", extra=told)

    def _checked(self, response: httpx.Response) -> dict[str, Any]:
        """What an answer holds. Raises the error that it stands for, if it does."""
        try:
            answer: dict[str, Any] = response.json()
            failed = answer["type"] == "error"
        except (ValueError, TypeError, KeyError, RecursionError) as failure:
            raise Unreachable(f"{self.server.address}: this is not Incus") from failure
        if not failed:
            return answer
        shut_out = response.status_code == 403 or "unauthenticated" in answer["error"].lower()
        if shut_out and not self.is_trusted:
            detail = "the server does not accept the panel's certificate"
            raise NotTrusted(f"{self.server.address}: {detail}")
        raise error(answer["error"], response.status_code)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (httpx.TimeoutException, httpcore.TimeoutException) as failure:
            raise Unreachable(f"{self.server.address}: no answer in time") from failure
        except (httpx.TransportError, httpcore.NetworkError, httpcore.ProtocolError) as failure:
            reason = failure or repr(failure)
            if "CERTIFICATE_VERIFY_FAILED" in str(failure):
                reason = "its certificate is not the one that was pinned"
            raise Unreachable(f"{self.server.address}: {reason}") from failure
