"""Where the queue finds its tasks."""

from django.db import close_old_connections, connection
from huey.contrib.djhuey import on_startup

from containers.operations.carrying import carry_out_soon

__all__ = ["carry_out_soon", "connect"]


@on_startup()
def connect() -> None:
    """Each thread of a worker opens its connection before the first click waits for it, unless
    it is one that is not to be kept."""
    connection.ensure_connection()
    close_old_connections()
