"""Whatever anybody sends, the panel has an answer, and repeats nothing that a browser would run."""

from __future__ import annotations

import re
from contextlib import suppress
from urllib.parse import quote_from_bytes

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from containers import forms
from orders.forms import OrderForm, SimulatedPaymentForm
from orders.ssh_keys import parse
from tests.security.addresses import Address, addresses
from tests.security.conftest import House, knock
from tests.test_architecture import modules

# Many more examples: pytest --hypothesis-profile=long tests/security/test_fuzz.py
anew = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

FORMS = (
    OrderForm,
    SimulatedPaymentForm,
    forms.AdoptForm,
    forms.FaultsForm,
    forms.FilterForm,
    forms.NewTextForm,
    forms.ReachForm,
    forms.RenameForm,
    forms.UploadForm,
)
ASKED = re.compile(r'request\.(?:GET|POST)\.get(?:list)?\(\s*"(\w+)"|"(\w+)" in request\.')


def parameters() -> list[str]:
    """All that any page reads, found where it is read."""
    found = {"login", "password", "email", "path", "add-0", "name-0"}
    found |= {name for form in FORMS for name in form.base_fields}
    for app in ("containers", "orders", "panel"):
        for module in (django_settings.BASE_DIR / app).rglob("views/*.py"):
            found |= {name for names in ASKED.findall(module.read_text()) for name in names}
    return sorted(found - {""})


UNPACKING = re.compile(r"\b(decompress\w*|unpack_archive|extractall|pickle|marshal|shelve|eval)\b")

SCRIPT = b"\"'><script>alert(1)</script>"
SHARP = [
    SCRIPT, b"", b"\0", b"a\0b", b"\xff\xfe", b"\xed\xa0\x80", "\u202e\u2028\u00b2".encode(),
    "\u00b2".encode(), "\u0663".encode(), b"-1", b"0", b"1", b"1.5", b"1e309", b"NaN", b"9" * 19,
    b"9" * 400, b"9" * 5000, b"a" * 9000, b"' OR 1=1 --", b"%", b"_", b"{{ 7 }}", b"%s", b"/",
    b"../../etc/shadow", b"/etc/passwd", b"\r\nSet-Cookie: a=b", b"//evil.example", b"http://[",
    b":", b"e", b"u", b"lena", b"start", b"destroy", b"running", b"destroyed", b"-name", b"web-02",
    b"ssh-ed25519 AAAA",
]  # fmt: skip
values = st.sampled_from(SHARP) | st.binary(max_size=30)
sent = st.fixed_dictionaries({}, optional=dict.fromkeys(parameters(), values)).map(
    lambda pairs: "&".join(f"{name}={quote_from_bytes(value)}" for name, value in pairs.items())
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "HX-Request": st.just("true"),
        "HX-Target": st.sampled_from(["main", "container-1", "\xff", "'\"><script>alert(1)"]),
        "HX-Current-URL": st.sampled_from(["//evil.example", "http://[", "\xff", "/\0"]),
        "X-Forwarded-For": st.sampled_from(["", ",", "\xff", "::1", "not an address"]),
        "Range": st.just("bytes=9-1"),
        "Accept-Language": st.just("*;q=\xff"),
    },
)
places = st.sampled_from([a for a in addresses() if not a.name.startswith("account_")])
roles = st.sampled_from(["superuser", "owner", "stranger"])


@pytest.fixture
def no_limits(settings: Settings) -> None:
    """As many tries as there are examples."""
    settings.ACCOUNT_RATE_LIMITS = False


def check(browser: Client, method: str, place: str, body: str, **said: str) -> None:
    answer = knock(browser, method, place, body.encode(), said)
    assert answer.status_code < 500
    if isinstance(answer, HttpResponse):
        assert b"<script>alert(1)" not in answer.content
    for name, value in answer.headers.items():
        assert "evil.example" not in value or (name == "Location" and value.startswith("/")), name


@anew
@given(address=places, role=roles, query=sent, said=headers)
def test_whatever_is_asked_for_is_answered(
    address: Address,
    role: str,
    query: str,
    said: dict[str, str],
    house: House,
    browsers: dict[str, Client],
) -> None:
    place = house.at(address).partition("?")[0]
    check(browsers[role], "GET", f"{place}?{query}", "", **said)


@anew
@given(address=places, role=roles, query=sent, body=sent, said=headers)
def test_whatever_is_sent_is_answered(
    address: Address,
    role: str,
    query: str,
    body: str,
    said: dict[str, str],
    house: House,
    browsers: dict[str, Client],
) -> None:
    place = house.at(address)
    check(browsers[role], "POST", place, body, **said)
    check(browsers[role], "POST", f"{place.partition('?')[0]}?{query}", body, **said)


@anew
@given(address=st.sampled_from(addresses()), body=sent)
def test_whatever_a_stranger_sends_to_sign_in_is_answered(
    address: Address, body: str, house: House, browsers: dict[str, Client], no_limits: None
) -> None:
    check(browsers["stranger"], "POST", house.at(address), body)


@pytest.mark.parametrize("number", ["0", str(2**31), str(2**63), "9" * 30, "9" * 4301])
def test_no_number_is_too_large_to_be_nothing(
    number: str, house: House, browsers: dict[str, Client]
) -> None:
    for address in addresses():
        place = "/" + re.sub("<int:.*?>", number, address.route.replace("<slug:name>", "forget"))
        if number in place:
            assert knock(browsers["superuser"], "GET", place).status_code in {404, 405}, place
    for listed in ("containers", "orders"):
        for parameter in ("q", "page", "customer", "node"):
            place = f"/{listed}/?{parameter}={number}"
            assert knock(browsers["superuser"], "GET", place).status_code == 200, place


@anew
@given(text=st.text(max_size=200) | st.sampled_from([v.decode("utf-8", "replace") for v in SHARP]))
def test_a_text_is_a_key_on_one_line_or_refused(text: str) -> None:
    with suppress(ValidationError):
        assert "\n" not in parse(text)


def test_nothing_that_comes_in_is_unpacked() -> None:
    """Or else a small file could become a large one, or a program."""
    assert not {module for module, path in modules().items() if UNPACKING.search(path.read_text())}
