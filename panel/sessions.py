"""Django's sessions in the database, each read together with its person; and the deletion of those
that have expired, or that are open elsewhere when their person turns on a second factor."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.db import connections, router
from django.http import HttpRequest
from django.utils import timezone

from panel.compiled import ModelReader
from panel.models import Session, User

# Deleted in one statement, so that nobody waits long to write.
BATCH = 500
_ROWS = ModelReader(Session, User)
_TABLE, _PEOPLE = Session._meta.db_table, User._meta.db_table
_READ = f"""
    SELECT {_ROWS.columns} FROM {_TABLE} LEFT JOIN {_PEOPLE} ON {_PEOPLE}.id = {_TABLE}.person_id
    WHERE session_key = %s AND expire_date > %s"""  # noqa: S608


class SessionStore(db.SessionStore):
    """`person` is who was signed in when it was read. Whether they still may be is for
    `django.contrib.auth.get_user` to say."""

    person: User | None = None

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def load(self) -> dict[str, Any]:
        """What is kept of this session; nothing where it is unknown or has expired."""
        connection = connections[router.db_for_read(self.model)]
        now = connection.ops.adapt_datetimefield_value(timezone.now())
        for session, person in _ROWS.read(_READ, [self.session_key, now]):
            self.person = person
            return self.decode(session.session_data)
        self._session_key = None
        return {}

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        session: Any = super().create_model_instance(data)
        session.person_id = data.get(SESSION_KEY)
        return session  # type: ignore[no-any-return]


def forget_expired() -> None:
    """Delete the sessions that let nobody in any more: whoever does not sign out leaves one."""
    expired = Session.objects.filter(expire_date__lt=timezone.now()).order_by("expire_date")
    while batch := list(expired.values_list("pk", flat=True)[:BATCH]):
        Session.objects.filter(pk__in=batch).delete()


def end_others(*, request: HttpRequest, user: User, **_: Any) -> None:
    """Sign a person out wherever they are signed in but here."""
    user.sessions.exclude(pk=request.session.session_key).delete()
