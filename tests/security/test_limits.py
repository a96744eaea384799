"""Nobody guesses passwords, and nobody asks without end; whoever has to wait is told so."""

from __future__ import annotations

import re
import time

import pytest
from allauth.account.models import EmailAddress
from django.core.mail import EmailMessage
from django.http import HttpResponse
from django.test import Client
from payments import PaymentStatus
from pytest_django import Settings

from containers import operations
from containers.models import Container, FileChange, Node, Operation
from containers.statuses import Status
from containers.throttle import TOO_FAST, is_too_fast
from orders.checkout import open_payment, place_order
from orders.models import Order, Plan, System
from panel.models import User
from tests.cast import PASSWORD, ContainerFactory
from tests.conftest import Clock
from tests.security.conftest import House

TOO_MANY = "Too many failed login attempts"


def sign_in(name: str, password: str, **headers: str) -> HttpResponse:
    form = {"login": name, "password": password}
    return Client(headers=headers).post("/account/login/", form)  # type: ignore[return-value]


def came_in(answer: HttpResponse) -> bool:
    return answer.status_code == 302


def test_after_five_failures_not_even_the_right_password_opens(lena: User, omar: User) -> None:
    for _ in range(5):
        assert TOO_MANY not in sign_in("lena", "a guess").content.decode()
    assert TOO_MANY in sign_in("lena", PASSWORD).content.decode()
    assert came_in(sign_in("omar", PASSWORD))


@pytest.mark.parametrize("other", ["lena@example.com", "LENA", "Lena@Example.com"])
def test_a_guesser_gains_nothing_by_another_name_of_the_same_account(
    other: str, lena: User
) -> None:
    for name in ("lena", other, "lena", other, "lena"):
        assert TOO_MANY not in sign_in(name, "a guess").content.decode()
    assert TOO_MANY in sign_in(other, PASSWORD).content.decode()
    assert TOO_MANY in sign_in("lena", PASSWORD).content.decode()


def test_a_guesser_does_not_see_who_has_an_account(lena: User, settings: Settings) -> None:
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": "5/5m/key"}

    def said(name: str) -> list[str]:
        pages = [sign_in(name, "a guess").content.decode() for _ in range(6)]
        return [
            re.sub(r"csrf\S+ value=\S+|[0-9a-f]{32}", "", page).replace(name, "") for page in pages
        ]

    assert said("lena") == said("nora")
    assert said("lena@example.com")[-1] == said("nora@example.com")[-1]


def test_a_name_that_nobody_has_is_counted_however_it_is_written(db: None) -> None:
    for name in ("nora", "NORA", "nora", "Nora", "nora"):
        assert TOO_MANY not in sign_in(name, "a guess").content.decode()
    assert TOO_MANY in sign_in("NORA", "a guess").content.decode()


def test_a_name_that_nobody_has_spends_nobodys_tries(lena: User, settings: Settings) -> None:
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": "5/5m/key"}
    for name in (str(lena.pk), f"account {lena.pk}"):
        for _ in range(5):
            sign_in(name, "a guess")
    assert came_in(sign_in("lena", PASSWORD))


def test_a_try_counts_on_every_account_that_is_meant_by_it(
    lena: User, omar: User, settings: Settings
) -> None:
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": "5/5m/key"}
    User.objects.update(email="office@example.com")
    for _ in range(5):
        sign_in("office@example.com", "a guess")
    for person in ("lena", "omar"):
        assert TOO_MANY in sign_in(person, PASSWORD).content.decode()


def test_guesses_at_ones_own_address_lock_out_nobody_else(lena: User, omar: User) -> None:
    EmailAddress.objects.create(user=lena, email=omar.email)
    for _ in range(6):
        sign_in(omar.email, "a guess")
    assert came_in(sign_in("lena", PASSWORD))
    assert TOO_MANY in sign_in("omar", PASSWORD).content.decode()


def test_five_minutes_later_it_opens(lena: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(6):
        sign_in("lena", "a guess")
    later = time.time() + 301
    monkeypatch.setattr(time, "time", lambda: later)
    assert came_in(sign_in("lena", PASSWORD))


def test_a_guesser_gains_nothing_by_another_host_header(lena: User) -> None:
    for port in range(5):
        sign_in("lena", "a guess", host=f"localhost:{port + 1}")
    assert TOO_MANY in sign_in("lena", PASSWORD).content.decode()


def test_a_guesser_gains_nothing_by_pretending_to_come_from_elsewhere(db: None) -> None:
    for number in range(10):
        sign_in(f"person{number}", "a guess", x_forwarded_for=f"192.0.2.{number}")
    assert TOO_MANY in sign_in("another", "a guess", x_forwarded_for="192.0.2.99").content.decode()


def test_behind_a_proxy_nobody_pays_for_the_guesses_of_others(
    lena: User, settings: Settings
) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    for number in range(11):
        sign_in(f"person{number}", "a guess", x_forwarded_for="192.0.2.1, 192.0.2.66")
    assert came_in(sign_in("lena", PASSWORD, x_forwarded_for="192.0.2.66, 192.0.2.1"))


def test_signing_in_again_and_again_is_nobodys_failure(lena: User) -> None:
    assert all(came_in(sign_in("lena", PASSWORD)) for _ in range(12))


def test_signing_in_is_no_failure_of_another_who_has_the_same_address(
    lena: User, omar: User
) -> None:
    User.objects.update(email="office@example.com")
    omar.set_password("another-Word-17")
    omar.save(update_fields=["password"])
    for _ in range(6):
        assert came_in(sign_in("office@example.com", PASSWORD))
    assert came_in(sign_in("lena", PASSWORD))
    assert came_in(sign_in("omar", "another-Word-17"))


def test_whoever_chooses_a_new_password_by_mail_comes_in_with_it_and_guessers_gain_nothing(
    lena: User, omar: User, mailoutbox: list[EmailMessage]
) -> None:
    User.objects.update(email="office@example.com")
    for _ in range(5):
        sign_in("lena", "a guess")
        sign_in("omar", "forgotten")
    Client().post("/account/password/reset/", {"email": "office@example.com"})
    [letter] = [str(each.body) for each in mailoutbox if "the account omar" in str(each.body)]
    [link] = re.findall(r"/account/password/reset/key/\S+", letter)
    browser, new = Client(), "kelp-and-barnacles"
    browser.post(browser.get(link)["Location"], {"password1": new, "password2": new})
    assert came_in(sign_in("omar", new))
    assert TOO_MANY in sign_in("lena", PASSWORD).content.decode()


def test_a_limit_can_be_lifted(lena: User, settings: Settings) -> None:
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": 0, "login": 0}
    for _ in range(12):
        sign_in("lena", "a guess")
    assert came_in(sign_in("lena", PASSWORD))


def test_from_one_address_only_so_many_tries_are_made(lena: User, settings: Settings) -> None:
    settings.ACCOUNT_RATE_LIMITS = {"login": "2/m/ip"}
    for _ in range(2):
        assert came_in(sign_in("lena", PASSWORD))
    answer = sign_in("lena", PASSWORD)
    assert answer.status_code == 429
    assert "Wait a few minutes, then try again;" in answer.content.decode()


@pytest.fixture
def three(lena: User, settings: Settings) -> list[Container]:
    """Lena's, stopped; two actions a minute is all she may ask for."""
    settings.ASKED_A_MINUTE = 2
    return ContainerFactory.create_batch(3, customer=lena)


def start(browser: Client, container: Container, **headers: str) -> HttpResponse:
    place = f"/containers/{container.pk}/act/"
    return browser.post(place, {"action": "start"}, headers=headers)  # type: ignore[return-value]


def test_who_asks_too_much_is_told_to_wait_and_nothing_is_lost(
    three: list[Container], as_lena: Client, clock: Clock
) -> None:
    *before, last = three
    for container in before:
        start(as_lena, container)
    answer = start(as_lena, last)
    assert answer.status_code == 429
    assert TOO_FAST in answer.content.decode()
    assert 'value="start"' in answer.content.decode()
    last.refresh_from_db()
    assert last.status == Status.STOPPED
    clock.advance(61)
    start(as_lena, last)
    last.refresh_from_db()
    assert last.status == Status.BOOTING


def test_the_word_stands_beside_the_button(three: list[Container], as_lena: Client) -> None:
    *before, last = three
    for container in before:
        start(as_lena, container)
    row = {"HX-Request": "true", "HX-Target": f"container-{last.pk}"}
    answer = start(as_lena, last, **row)
    assert answer.status_code == 429
    assert TOO_FAST in answer.content.decode()
    assert '"409|422|429", "swap": true' in as_lena.get("/").content.decode()


def test_of_many_at_once_those_within_the_limit_are_done(
    three: list[Container], as_lena: Client
) -> None:
    form = {"action": "start", "confirmed": "1", "container": [each.pk for each in three]}
    answer = as_lena.post("/containers/act/", form)
    assert Operation.objects.count() == 2
    assert TOO_FAST in answer.content.decode()


def test_what_one_has_asked_for_counts_for_a_minute_and_holds_up_nobody_else(
    container: Container, lena: User, omar: User, clock: Clock, settings: Settings
) -> None:
    settings.ASKED_A_MINUTE = 1
    for ask in (
        lambda: operations.request(container.pk, "start", by=lena),
        lambda: FileChange.objects.create(container=container, by=lena, at=clock.now()),
    ):
        ask()
        assert is_too_fast(lena)
        assert not is_too_fast(omar)
        clock.advance(61)
        assert not is_too_fast(lena)


def test_administrators_are_not_held_up(three: list[Container], as_ada: Client) -> None:
    for container in three:
        start(as_ada, container)
    assert Operation.objects.count() == 3


def test_what_was_typed_into_a_file_is_not_lost(
    house: House, as_lena: Client, settings: Settings
) -> None:
    settings.ASKED_A_MINUTE = 1
    place = f"/containers/{house.container.pk}/files/new/?path=/root"
    answer = as_lena.post(place, {"name": "motd", "content": "Good morning"})
    assert answer.status_code == 429
    assert TOO_FAST in answer.content.decode()
    assert "Good morning" in answer.content.decode()


def test_a_customer_has_only_so_many_orders_unpaid(
    lena: User,
    node: Node,
    plan: Plan,
    system: System,
    settings: Settings,
    as_lena: Client,
    as_ada: Client,
    clock: Clock,
) -> None:
    settings.UNPAID_ORDERS = 1

    def order(browser: Client, name: str) -> HttpResponse:
        form = {"plan": plan.pk, "system": system.pk, "name": name, "customer": "lena"}
        return browser.post("/orders/new/", form)  # type: ignore[return-value]

    assert order(as_lena, "web-01").status_code == 302
    answer = order(as_lena, "web-02")
    assert answer.status_code == 429
    assert "1 of your orders are not paid" in answer.content.decode()
    assert "web-02" in answer.content.decode()
    as_lena.post(f"/orders/{Order.objects.get().pk}/cancel/")
    assert order(as_lena, "web-02").status_code == 429
    assert order(as_ada, "web-03").status_code == 302
    clock.advance(3601)
    as_lena.post(f"/orders/{Order.objects.get(container__name='web-03').pk}/cancel/")
    assert order(as_lena, "web-02").status_code == 302


def test_what_is_paid_counts_no_longer_among_the_unpaid(
    lena: User, plan: Plan, system: System, settings: Settings
) -> None:
    settings.UNPAID_ORDERS = 1
    for name in ("web-01", "web-02"):
        order = place_order(customer=lena, by=lena, plan=plan, system=system, name=name)
        open_payment(order, lena).change_status(PaymentStatus.CONFIRMED)
    assert lena.orders.count() == 2
