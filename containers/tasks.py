"""Where the queue finds its tasks, and how long the connections of its threads are kept."""

from typing import Any

from django.db import close_old_connections, connection
from huey.contrib.djhuey import on_startup, post_execute

from containers.operations.carrying import carry_out_soon

__all__ = ["carry_out_soon", "close_if_old", "connect"]


@on_startup()
def connect() -> None:
    """Open the connection of each thread of a worker, so that the first click does not wait for it;
    close it again where connections are not kept."""
    connection.ensure_connection()
    close_old_connections()


@post_execute()
def close_if_old(*_: Any) -> None:
    """Close a connection to SQLite that is older than CONN_MAX_AGE: after the work, when nobody
    waits for it. One to PostgreSQL is kept: Django would check it before the next click is looked
    at."""
    if connection.vendor == "sqlite":
        close_old_connections()
