"""Django's sessions in the database, loaded by a prepared statement; and the deletion of those that
have expired, or that are open elsewhere when their person turns on a second factor."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.db import connections, router
from django.http import HttpRequest
from django.utils import timezone

from panel.compiled import execute

# Deleted in one statement, so that nobody waits long to write.
BATCH = 500
_READ = "SELECT session_data FROM django_session WHERE session_key = %s AND expire_date > %s"


class SessionStore(db.SessionStore):
    def load(self) -> dict[str, Any]:
        """What is kept of this session; nothing where it is unknown or has expired."""
        connection = connections[router.db_for_read(self.model)]
        now = connection.ops.adapt_datetimefield_value(timezone.now())
        for (data,) in execute(connection, _READ, [self.session_key, now]):
            return self.decode(data)
        self._session_key = None
        return {}


def forget_expired() -> None:
    """Delete the sessions that let nobody in any more: whoever does not sign out leaves one."""
    expired = Session.objects.filter(expire_date__lt=timezone.now()).order_by("expire_date")
    while batch := list(expired.values_list("pk", flat=True)[:BATCH]):
        Session.objects.filter(pk__in=batch).delete()


def end_others(*, request: HttpRequest, user: Any, **_: Any) -> None:
    """Sign a person out wherever they are signed in but here. Looks into every session."""
    living = Session.objects.filter(expire_date__gt=timezone.now())
    for session in living.exclude(pk=request.session.session_key).iterator():
        if session.get_decoded().get(SESSION_KEY) == str(user.pk):
            session.delete()
