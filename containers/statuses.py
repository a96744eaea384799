"""The eleven statuses of a container, their words and their three kinds."""

from __future__ import annotations

from django.db.models import TextChoices


class Status(TextChoices):
    """The values of `data-status`, and the words shown for them."""

    ORDERED = "ordered", "Ordered"
    CREATING = "creating", "Creating"
    RUNNING = "running", "Running"
    REPAIRING = "repairing", "Repairing"
    BOOTING = "booting", "Booting"
    STOPPING = "stopping", "Stopping"
    STOPPED = "stopped", "Stopped"
    DESTROYING = "destroying", "Destroying"
    DESTROYED = "destroyed", "Destroyed"
    OFFLINE = "offline", "Off-line"
    MIGRATING = "migrating", "Migrating"


# A transient status always has exactly one open Operation; it goes on by itself.
TRANSIENT = frozenset(
    {Status.CREATING, Status.BOOTING, Status.STOPPING, Status.MIGRATING, Status.DESTROYING}
)
# In the order of the pages: transient ones last, as they come and go, and the others stay in place.
LINED_UP = sorted(Status, key=lambda status: status in TRANSIENT)
# Nothing of the container exists on a node.
NOWHERE = frozenset({Status.ORDERED, Status.DESTROYED})
