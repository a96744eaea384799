"""Where the queue finds its tasks, and how long the connections of its threads are kept."""

from typing import Any

from django.db import close_old_connections, connection
from huey.contrib.djhuey import on_startup, post_execute

from containers.operations.carrying import carry_out_soon

__all__ = ["carry_out_soon", "connect", "let_go"]


@on_startup()
def connect() -> None:
    """Each thread of a worker opens its connection before the first click waits for it, unless
    it is one that is not to be kept."""
    connection.ensure_connection()
    close_old_connections()


@post_execute()
def let_go(*_: Any) -> None:
    """Close a connection to SQLite that has served its time, after the work, when nobody waits
    for it. One to PostgreSQL stays: it would be tried before the next click is looked at."""
    if connection.vendor == "sqlite":
        close_old_connections()
