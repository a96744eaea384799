"""A session is what Django has written, and whose it is, as long as it lasts."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from allauth.core import context
from django.db import connection
from django.forms import model_to_dict
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from panel import sessions
from panel.accounts import Backend
from panel.models import Session, User
from panel.sessions import SessionStore, forget_expired

pytestmark = pytest.mark.django_db


@pytest.fixture
def kept() -> str:
    """The key of a session in which something is kept."""
    session = SessionStore()
    session["text"] = "Grüße"
    session.create()
    assert session.session_key
    return session.session_key


def test_what_was_kept_is_there_in_one_query(kept: str, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert SessionStore(kept)["text"] == "Grüße"
    assert Session.objects.get().get_decoded() == {"text": "Grüße"}


def test_its_person_is_read_with_it_as_django_reads_people(as_lena: Client, lena: User) -> None:
    with CaptureQueriesContext(connection) as queries:
        known = as_lena.get("/plans/").wsgi_request.user
    assert known == lena
    read = [each for each in queries if re.search(r'FROM "?panel_(user|session)"? ', each["sql"])]
    assert len(read) == 1
    assert model_to_dict(known) == model_to_dict(User.objects.get(pk=lena.pk))
    assert not known._state.adding


@pytest.mark.parametrize(
    "happened",
    [
        lambda lena: User.objects.filter(pk=lena.pk).update(is_active=False),
        lambda lena: User.objects.filter(pk=lena.pk).update(password="another"),
        lambda lena: User.objects.filter(pk=lena.pk).delete(),
    ],
    ids=["shut out", "has a new password", "is gone"],
)
def test_who_may_not_be_signed_in_any_more_is_not(
    as_lena: Client, lena: User, happened: Callable[[User], object]
) -> None:
    assert as_lena.get("/plans/").wsgi_request.user.is_authenticated
    happened(lena)
    assert not as_lena.get("/plans/").wsgi_request.user.is_authenticated


def asked_with(session: SessionStore, user: User) -> User | None:
    """Whom the backend takes for this user in a request with this session."""
    request = RequestFactory().get("/")
    request.session = session
    with context.request_context(request):
        return Backend().get_user(user.pk)


@pytest.mark.parametrize("known", ["nobody", "omar", "lena"])
def test_whoever_was_read_with_the_session_nobody_is_taken_for_another(
    known: str, lena: User, omar: User
) -> None:
    session = SessionStore()
    session.person = {"lena": lena, "omar": omar}.get(known)
    assert asked_with(session, omar) == omar, "and not the first that there is"
    omar.is_active = False
    omar.save()
    assert asked_with(session, omar) is None


def test_a_session_names_nobody_once_they_have_signed_out(as_lena: Client, lena: User) -> None:
    assert lena.sessions.count() == 1
    as_lena.post(reverse("account_logout"))
    as_lena.get("/account/login/")
    assert not Session.objects.filter(person=lena).exists()


def test_of_a_session_that_has_expired_nothing_is_left(kept: str) -> None:
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    session = SessionStore(kept)
    assert "text" not in session
    assert session.session_key is None


def test_what_has_expired_is_deleted_a_few_at_a_time_and_nothing_else_is(
    kept: str, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(sessions, "BATCH", 2)
    over = timezone.now() - timedelta(seconds=1)
    Session.objects.bulk_create(Session(pk=str(key), expire_date=over) for key in range(5))
    with django_assert_num_queries(7):
        forget_expired()
    assert [session.pk for session in Session.objects.all()] == [kept]


def test_a_key_that_somebody_made_up_is_never_used() -> None:
    session = SessionStore("x" * 32)
    session["text"] = "mine"
    session.save()
    assert session.session_key != "x" * 32


def test_who_signs_out_here_is_signed_out_everywhere(as_lena: Client) -> None:
    other = Client()
    other.cookies.load(as_lena.cookies.output(header="", sep=";"))
    assert other.get("/containers/").status_code == 200
    as_lena.post(reverse("account_logout"))
    assert other.get("/containers/").status_code == 302
