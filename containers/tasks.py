"""Where the queue finds its tasks."""

from django.db import connection
from huey.contrib.djhuey import on_startup

from containers.operations.carrying import carry_out_soon

__all__ = ["carry_out_soon", "connect"]


@on_startup()
def connect() -> None:
    """Each thread of a worker opens its connection before the first click waits for it."""
    connection.ensure_connection()
