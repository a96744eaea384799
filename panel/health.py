"""Whether the panel can do its work now, part by part, in words that tell nobody a secret."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import cache

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from huey.contrib.djhuey import HUEY

from containers.models import Beat
from containers.models.beat import WATCHER

logger = logging.getLogger(__name__)

OK = "ok"
# A watcher that has given no sign for so long watches nothing; it gives one every 10 s.
SILENCE = timedelta(seconds=60)


def database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return OK


def migrations() -> str:
    """Those of a newer release may be there already: it suits older processes as well."""
    missing = _newest_migrations() - set(MigrationRecorder(connection).applied_migrations())
    return f"not migrated: {', '.join(sorted(app for app, _ in missing))}" if missing else OK


@cache
def _newest_migrations() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None).graph.leaf_nodes())


def queue() -> str:
    HUEY.pending_count()
    return OK


def watcher() -> str:
    last = Beat.objects.last_sign(WATCHER)
    if last is None:
        return "has not run yet"
    silent = timezone.now() - last
    return f"silent for {silent.total_seconds():.0f} s" if silent > SILENCE else OK


PARTS: tuple[Callable[[], str], ...] = (database, migrations, queue, watcher)


def parts(*asked: Callable[[], str]) -> dict[str, str]:
    """How each of these parts is: OK, or what is wrong with it. Never raises; the log says
    why something cannot be reached."""
    return {part.__name__: _state(part) for part in asked}


def _state(part: Callable[[], str]) -> str:
    try:
        return part()
    except Exception as error:
        logger.error("%s: %r", part.__name__, error)
        return "unreachable"
