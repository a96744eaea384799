"""The images that can be fetched from an image server, of Incus or of simplestreams."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import httpx

from containers.drivers import DriverError, ImageSource, NoImageServer

from .client import Client, Server
from .limits import limit, limited

_WAITING = 60  # seconds for all answers of a server
_LARGEST = 64 * 1024 * 1024  # bytes of them, and of an index once it is unpacked
# The files of an image for containers, as simplestreams calls them: all in one, or metadata and a
# root file system.
_WHOLE, _ABOUT, _ROOTS = "incus_combined.tar.gz", "incus.tar.xz", {"root.tar.xz", "squashfs"}


class Catalogue:
    """The images of one server. An index that has not changed is not fetched again: keep it."""

    def __init__(self, source: ImageSource) -> None:
        self.source = source
        self._known: dict[str, tuple[dict[str, str], Any]] = {}

    def aliases(self, *, timeout: float) -> frozenset[str]:
        """The names of all images for containers, of whatever architecture; `timeout` in seconds
        is for each answer to begin, a minute for all of them. Raises NoImageServer."""
        speaks = self._of_incus if self.source.protocol == "incus" else self._of_simplestreams
        try:
            with limited(_WAITING, _LARGEST):
                return frozenset(speaks(timeout))
        except DriverError as failure:
            raise NoImageServer(failure.detail) from failure
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as failure:
            raise NoImageServer(f"{self.source.url}: {failure or repr(failure)}") from failure
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as failure:
            raise NoImageServer(f"{self.source.url}: no such index: {failure!r}") from failure

    def _of_incus(self, timeout: float) -> Iterator[str]:
        """Asked without the panel's certificate: a server shows strangers its public images."""
        server = Server(
            self.source.url, self.source.certificate, project="default", timeout=max(timeout, 2)
        )
        with closing(Client(server)) as client:
            images = client.get("/1.0/images", recursion=1)
        for image in images:
            if image["type"] == "container":
                yield from (alias["name"] for alias in image["aliases"])

    def _of_simplestreams(self, timeout: float) -> Iterator[str]:
        """As Incus reads it: an alias means the image for the node's own architecture."""
        trusted = ssl.create_default_context(cadata=self.source.certificate or None)
        with httpx.Client(verify=trusted, timeout=timeout, follow_redirects=True) as http:
            limit(http)
            for entry in self._get(http, "streams/v1/index.json")["index"].values():
                if entry["datatype"] != "image-downloads":
                    continue
                for product in self._get(http, entry["path"])["products"].values():
                    if _has_container(product):
                        for alias in filter(None, product.get("aliases", "").split(",")):
                            yield from (alias, f"{alias}/{product['arch']}")

    def _get(self, http: httpx.Client, path: str) -> Any:
        unless, content = self._known.get(path, ({}, None))
        with http.stream("GET", f"{self.source.url}/{path}", headers=unless) as answer:
            if answer.status_code == httpx.codes.NOT_MODIFIED:
                return content
            content = json.loads(_whole(answer.raise_for_status()))
            conditions = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
            unless = {
                asks: answer.headers[says]
                for says, asks in conditions.items()
                if says in answer.headers
            }
            self._known[path] = unless, content
            return content


def _whole(answer: httpx.Response) -> bytes:
    content = bytearray()
    for piece in answer.iter_bytes():
        content += piece
        if len(content) > _LARGEST:
            raise ValueError("an index without an end")
    return bytes(content)


def _has_container(product: Mapping[str, Any]) -> bool:
    versions = product["versions"].values()
    files = [{item["ftype"] for item in version["items"].values()} for version in versions]
    return any(_WHOLE in kinds or (_ABOUT in kinds and kinds & _ROOTS) for kinds in files)
