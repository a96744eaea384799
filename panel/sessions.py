"""Sessions as Django keeps them in its database, read without composing the same query for each
request."""

from __future__ import annotations

from typing import Any

from django.contrib.sessions.backends import db
from django.db import connections, router
from django.utils import timezone

from panel.composed import ask

_READ = "SELECT session_data FROM django_session WHERE session_key = %s AND expire_date > %s"


class SessionStore(db.SessionStore):
    def load(self) -> dict[str, Any]:
        """What is kept of this session; nothing where it is unknown or has expired."""
        connection = connections[router.db_for_read(self.model)]
        now = connection.ops.adapt_datetimefield_value(timezone.now())
        for (data,) in ask(connection, _READ, [self.session_key, now]):
            return self.decode(data)
        self._session_key = None
        return {}
