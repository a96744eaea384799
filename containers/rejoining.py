"""Making a restored database safe, which has gone back in time: what was under way then is not
carried out, and nothing is created that may be on a node which was not seen since."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from django.core.management.base import CommandError
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import F, Model
from django.utils import timezone

from containers.ids import LEAP, last_given, reserve
from containers.models import Container, Node, Operation
from panel.outage import OutageLog

logger = logging.getLogger(__name__)

# Time for every node to be asked first, before anything is created.
PAUSE = timedelta(minutes=5)
# A table that says that `rejoin` is still to come: it comes with the restored database, in the same
# transaction, and `rejoin` drops it.
MARK = "berth_not_rejoined"


def refuse_unless_rejoined() -> None:
    """Raise CommandError where `rejoin` is still to come."""
    if MARK in connection.introspection.table_names():
        raise CommandError(
            "The last restore did not come to its end: work that was under way when the back-up "
            "was made would be carried out. Repeat it first: manage.py restore FILE --force"
        )


def wait_for_database() -> None:
    """Return once the database answers: processes of the panel start without. Raises CommandError
    where `rejoin` is still to come on it."""
    outage = OutageLog(logger, "this process begins as soon as it is back")
    while True:
        try:
            refuse_unless_rejoined()
        except (DatabaseError, InterfaceError) as error:
            if not outage.report(error):
                raise
            time.sleep(1)
        else:
            outage.recovered()
            return


def rejoin(*numbered: type[Model]) -> None:
    """Make a restored database safe. Call it before any worker or watcher runs on it.

    Nothing is done for work that was open then: its node is asked what became of it, and where
    it was not done, it counts as failed. What may be on a node is not created before that node was
    seen. New containers, and new rows of the models `numbered`, get ids that were never given out.
    """
    now = timezone.now()
    Operation.objects.open().update(
        restored=True, held_by="", held_until=None, not_before=now, woken_at=now
    )
    Container.objects.filter(create_again_at__isnull=False).update(
        create_again_at=now + PAUSE, revision=F("revision") + 1
    )
    Node.objects.update(may_have_up_to=last_given(Container))
    models: tuple[type[Model], ...] = (Container, *numbered)
    for model in models:
        reserve(model, last_given(model) + LEAP)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {MARK}")
