"""People at their browsers: they order, pay, click, click twice, go back and send it again."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html import unescape
from random import Random
from uuid import uuid4

import httpx

from tests.cast import PASSWORD
from tests.soak.ledger import Deed, Ledger

_ROW = re.compile(r'<tr id="container-(\d+)" data-status="(\w+)">(.*?)</tr>', re.DOTALL)
_NAME = re.compile(r'<a class="name"[^>]*>([^<]+)</a>')
_BUTTON = re.compile(r'name="action" value="(\w+)"')
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')
_FIELD = r'name="{}" value="([^"]*)"'
_DONE_OF_MANY = re.compile(
    r'href="/containers/(\d+)/">[^<]*</a>\s*<span class="status good">accepted'
)
_POLL = re.compile(r'data-poll hx-get="([^"]+)"')
SIGN_IN = "/account/login/"


@dataclass(frozen=True)
class Row:
    """A container as the list shows it."""

    pk: int
    status: str
    name: str
    buttons: tuple[str, ...]


@dataclass
class Experience:
    """What people saw of the panel: `pages` by moment, seconds and address, `errors` by moment and
    kind. "node 503" is a page that says that the node does not answer."""

    pages: list[tuple[float, float, str]] = field(default_factory=list)
    errors: list[tuple[float, str]] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)


class Browser:
    """One person's browser; signs in, and signs in again when it is asked to."""

    def __init__(self, address: str, person: str, experience: Experience) -> None:
        self.person, self._experience = person, experience
        self._client = httpx.Client(base_url=address, timeout=30)
        self._csrf = ""

    def get(self, path: str) -> str:
        """The page, or nothing where there was none."""
        answer = self._send("GET", path)
        if answer is None or answer.status_code >= 400:
            return ""
        if answer.status_code == 302 and SIGN_IN in answer.headers["location"]:
            self.sign_in()
            return ""
        if found := _TOKEN.search(answer.text):
            self._csrf = found[1]
        return answer.text

    def post(self, path: str, **fields: object) -> httpx.Response | None:
        """The answer to a form; None where it got lost, or the panel failed: nobody knows
        then whether it was done."""
        answer = self._send("POST", path, {"csrfmiddlewaretoken": self._csrf, **fields})
        if answer is not None and answer.status_code >= 500:
            return None
        if answer is not None and SIGN_IN in answer.headers.get("location", ""):
            self.sign_in()
        return answer

    def poll(self, page: str) -> str:
        """What the script of a page asks for: its fresh section; nothing where nothing is new."""
        if found := _POLL.search(page):
            answer = self._send("GET", unescape(found[1]), headers={"HX-Request": "true"})
            return "" if answer is None else answer.text
        return ""

    def rows(self, query: str = "") -> list[Row]:
        """The containers of the list."""
        return [
            Row(int(pk), status, name[1], tuple(_BUTTON.findall(html)))
            for pk, status, html in _ROW.findall(self.get(f"/containers/{query}"))
            if (name := _NAME.search(html))
        ]

    @staticmethod
    def choices(page: str, field: str) -> list[str]:
        """What a form lets one choose from, by its radio buttons or its list."""
        listed = re.search(rf'<select[^>]*name="{field}".*?</select>', page, re.DOTALL)
        if listed is None:
            return re.findall(_FIELD.format(field), page)
        return re.findall(r'<option value="(\d+)"', listed[0])

    def sign_in(self) -> None:
        page = self._send("GET", SIGN_IN)
        if page is not None and (found := _TOKEN.search(page.text)):
            form = {"csrfmiddlewaretoken": found[1], "login": self.person, "password": PASSWORD}
            self._send("POST", SIGN_IN, form)

    def _send(
        self,
        method: str,
        path: str,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response | None:
        began = time.monotonic()
        try:
            answer = self._client.request(method, path, data=data, headers=headers)
        except httpx.TransportError as error:
            self._experience.errors.append((time.time(), type(error).__name__))
            return None
        self._experience.answers[answer.status_code] += 1
        if answer.status_code >= 500:
            of = "node" if "/files/" in path and answer.status_code == 503 else "page"
            self._experience.errors.append((time.time(), f"{of} {answer.status_code}"))
        elif path != SIGN_IN:  # which is slow on purpose
            self._experience.pages.append(
                (time.time(), time.monotonic() - began, f"{method} {path}")
            )
        return answer


def _is_done(answer: httpx.Response | None) -> bool | None:
    """Whether the panel said yes; None where it said nothing."""
    if answer is None:
        return None
    return answer.status_code == 302 and SIGN_IN not in answer.headers["location"]


class Person(threading.Thread):
    """Somebody who acts until told to stop, with `pause` seconds between two acts at most."""

    def __init__(
        self, browser: Browser, ledger: Ledger, dice: Random, stop: threading.Event, pause: float
    ) -> None:
        super().__init__(name=browser.person, daemon=True)
        self.browser, self.ledger, self.dice = browser, ledger, dice
        self._stopped, self._pause = stop, pause
        self._sent: deque[Callable[[], None]] = deque(maxlen=5)

    def run(self) -> None:
        self.browser.sign_in()
        while not self._stopped.wait(self.dice.uniform(0, self._pause)):
            self.act()

    def act(self) -> None:
        """One thing that this person does."""
        raise NotImplementedError

    def press(self, row: Row, action: str) -> None:
        """Press a button, and say yes to what is asked; sometimes twice at once, sometimes
        the same form again later on."""

        def send() -> None:
            answer = self.browser.post(
                f"/containers/{row.pk}/act/", action=action, confirmed="yes", name=row.name
            )
            self.ledger.note((action, row.pk, self.browser.person), accepted=_is_done(answer))

        self._sent.append(send)
        self._once_or_twice(send)
        if self.dice.random() < 0.05:
            self.dice.choice(self._sent)()

    def _once_or_twice(self, send: Callable[[], object]) -> None:
        if self.dice.random() < 0.8:
            send()
            return
        with ThreadPoolExecutor(2) as both:
            list(both.map(lambda _: send(), range(2)))


class Customer(Person):
    """Orders up to `most` containers, pays for them and looks after them."""

    most = 4

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._unpaid: list[int] = []
        self._count = 0

    def act(self) -> None:
        if self._unpaid and self.dice.random() < 0.7:
            do = self._cancel if self.dice.random() < 0.05 else self._pay
            do(self._unpaid[0])
            return
        rows = self.browser.rows()
        if len(rows) < self.most and self.dice.random() < 0.4:
            self._order()
        elif pressable := [row for row in rows if row.buttons]:
            row = self.dice.choice(pressable)
            if row.status == "repairing" and self.dice.random() < 0.7:
                self._edit(row)
            else:
                self.press(row, self.dice.choice(row.buttons))

    def _order(self) -> None:
        page = self.browser.get("/orders/new/")
        plan, system = (self.browser.choices(page, field) for field in ("plan", "system"))
        if not (plan and system):
            return
        self._count += 1
        token = str(uuid4())
        form = {"plan": plan[0], "system": system[0], "token": token}
        name = f"{self.browser.person}-{self._count}"

        def send() -> None:
            answer = self.browser.post("/orders/new/", name=name, **form)
            if answer is not None and (found := _order_in(answer)):
                self.ledger.note_order(token, found)
                if found not in self._unpaid:
                    self._unpaid.append(found)

        self._sent.append(send)
        self._once_or_twice(send)

    def _pay(self, order: int) -> None:
        self.browser.get(f"/orders/{order}/pay/")

        def send() -> None:
            answer = self.browser.post(f"/orders/{order}/pay/", outcome="succeeds")
            if answer is None or _order_in(answer) != order:
                return
            if f"order {order} is paid." in self.browser.get(f"/orders/{order}/").lower():
                self.ledger.note_paid(order)
            done.set()

        done = threading.Event()
        self._once_or_twice(send)
        if done.is_set():
            self._unpaid.remove(order)

    def _cancel(self, order: int) -> None:
        if _is_done(self.browser.post(f"/orders/{order}/cancel/")):
            self._unpaid.remove(order)

    def _edit(self, row: Row) -> None:
        self._count += 1
        form = {"name": f"note-{self._count}", "content": f"{row.name} {self._count}\n"}
        answer = self.browser.post(f"/containers/{row.pk}/files/new/?path=/root", **form)
        deed: Deed = ("file", row.pk, self.browser.person)
        # A node that refuses may have done something all the same: the record says so, too.
        unsure = answer is None or answer.status_code == 422
        self.ledger.note(deed, accepted=None if unsure else _is_done(answer))


def _order_in(answer: httpx.Response) -> int | None:
    found = re.fullmatch(r"/orders/(\d+)/", answer.headers.get("location", ""))
    return int(found[1]) if found else None


class Administrator(Person):
    """Presses whatever there is on anybody's container, on many at once now and then."""

    def act(self) -> None:
        rows = [row for row in self.browser.rows() if row.buttons]
        if not rows:
            return
        row = self.dice.choice(rows)
        action = self.dice.choice(row.buttons)
        if self.dice.random() < 0.2:
            self._press_many([other for other in rows if action in other.buttons][:5], action)
        elif action != "destroy" or self.dice.random() < 0.4:
            self.press(row, action)

    def _press_many(self, rows: list[Row], action: str) -> None:
        label = action.replace("_", " ")
        answer = self.browser.post(
            "/containers/act/",
            action=action,
            container=[row.pk for row in rows],
            confirmed="yes",
            name=f"{label} {len(rows)}",
        )
        done = set(map(int, _DONE_OF_MANY.findall(answer.text))) if answer is not None else set()
        for row in rows:
            accepted = None if answer is None else row.pk in done
            self.ledger.note((action, row.pk, self.browser.person), accepted=accepted)


class Gateway(Person):
    """Reports payments once more, at once and late; `tokens` returns those that there are."""

    def __init__(self, tokens: Callable[[], list[str]], *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._tokens = tokens

    def act(self) -> None:
        if tokens := self._tokens():
            path = f"/payments/process/{self.dice.choice(tokens)}/?verification_result=confirmed"
            self._once_or_twice(lambda: self.browser.get(path))
