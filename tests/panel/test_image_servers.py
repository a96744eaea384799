"""BERTH_IMAGE_SERVERS: what is wrong in it stops the panel and is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from panel.image_servers import read
from tests.image_server import simplestreams

GOOD = {"url": "https://images.example.com/", "protocol": "simplestreams"}


def test_a_server_that_a_public_authority_vouches_for_wants_no_certificate() -> None:
    assert read({"images": GOOD}) == {
        "images": {
            "url": "https://images.example.com",
            "protocol": "simplestreams",
            "certificate": "",
        }
    }
    assert read({}) == {}


def test_a_certificate_is_read_from_its_file(tmp_path: Path) -> None:
    with simplestreams(tmp_path) as server:
        own = read({"own": server.setting | {"protocol": "incus"}})["own"]
    assert own["certificate"].startswith("-----BEGIN CERTIFICATE-----")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "must be an object"),
        ({"My images": GOOD}, "small letters"),
        ({"my images": GOOD}, "small letters"),
        ({"images": "https://images.example.com"}, "it has url, protocol, certificate"),
        ({"images": GOOD | {"uri": "x"}}, "it has url, protocol, certificate"),
        ({"images": {"protocol": "simplestreams"}}, "images: url must be"),
        ({"images": GOOD | {"url": 7}}, "url must be"),
        ({"images": GOOD | {"url": "http://images.example.com"}}, "https address"),
        ({"images": GOOD | {"url": "https:///x"}}, "https address"),
        ({"images": GOOD | {"url": "https://[images"}}, "images: url must be"),
        ({"images": GOOD | {"url": "https://images.example.com:port"}}, "images: url must be"),
        ({"images": GOOD | {"url": "https://images.example.com:0"}}, "images: url must be"),
        ({"images": GOOD | {"protocol": "ftp"}}, "incus, simplestreams"),
        ({"images": GOOD | {"protocol": "incus"}}, "certificate must be given"),
        ({"images": GOOD | {"certificate": "/no/such.pem"}}, "can be read: .*such.pem"),
        ({"images": GOOD | {"certificate": __file__}}, "must be a PEM file"),
        ({"images": GOOD | {"certificate": 7}}, "must be a PEM file"),
        ({"images": GOOD | {"certificate": "\0"}}, "must be a PEM file"),
    ],
)
def test_what_is_wrong_is_named(given: Any, said: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=said):
        read(given)
