"""A hardware node: whether it answers, what room and which images it has, whether it takes
new containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.urls import reverse
from django.utils import timezone

from containers.models.server_image import ServerImage

if TYPE_CHECKING:
    from panel.models import User


class NodeQuerySet(models.QuerySet["Node"]):
    def visible_to(self, user: User) -> NodeQuerySet:
        """Nodes are the administrators' business alone."""
        return self if user.administers else self.none()

    def taking_containers(self) -> NodeQuerySet:
        """The nodes on which containers can be put now: on-line and in service."""
        return self.filter(online=True, in_service=True)

    def able_to_create(self, image: str) -> NodeQuerySet:
        """The nodes that have this image; all nodes where an image server has it, since they fetch
        it from there."""
        here = NodeImage.objects.filter(node=models.OuterRef("pk"), name=image)
        served = ServerImage.objects.there().filter(name=image)
        return self.filter(models.Exists(here) | models.Exists(served))

    def not_seen_since_restore(self, number: int) -> NodeQuerySet:
        """The nodes in service that may have the container of this number although the database
        does not know it: the database was restored, and they have not answered since. A node that
        is lost for good has to be taken out of service."""
        return self.filter(in_service=True, may_have_up_to__gte=number)

    def lock_online(self, key: int) -> bool:
        """Lock a node if it is on-line, and return whether it is. It stays on-line until the
        transaction ends, so that a container that is put on it by then turns Off-line with it
        later. Lock containers first."""
        online = self.filter(pk=key, online=True).select_for_update(no_key=True)
        return bool(online.values_list("pk"))


class Node(models.Model):
    """A server that hosts containers. `settings` is what its driver needs to reach it.

    `latency_ms` is about how long it takes to answer the watcher. `may_have_up_to` is set by a
    restore until the node has answered: the highest number of a container that it may have without
    the database knowing. `…_promised`, and so `…_left`, are set by `room.with_room`.
    """

    class Kind(models.TextChoices):
        SIMULATED = "simulated", "simulated"
        INCUS = "incus", "Incus"

    name = models.SlugField(max_length=63, unique=True)
    kind = models.CharField(max_length=20, choices=Kind)
    settings = models.JSONField(default=dict, blank=True)
    cpus = models.PositiveIntegerField("processor cores", default=0)
    memory_mb = models.PositiveIntegerField("memory in MiB", default=0)
    disk_gb = models.PositiveIntegerField("disk in GiB", default=0)
    version = models.CharField(max_length=80, blank=True)

    in_service = models.BooleanField(default=True, help_text="Takes new containers.")
    online = models.BooleanField("on-line", default=True, editable=False)
    online_since = models.DateTimeField(default=timezone.now, editable=False)
    misses = models.PositiveIntegerField(default=0, editable=False)
    seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    latency_ms = models.PositiveIntegerField(null=True, editable=False)
    problem = models.TextField(blank=True, editable=False)
    may_have_up_to = models.BigIntegerField(null=True, editable=False)

    cpus_promised: int
    memory_promised: int
    disk_promised: int
    containers_here: int

    objects = NodeQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("containers:node", args=[self.pk])

    @property
    def memory_left(self) -> int:
        return self.memory_mb - self.memory_promised

    @property
    def disk_left(self) -> int:
        return self.disk_gb - self.disk_promised

    @property
    def is_simulated(self) -> bool:
        return self.kind == self.Kind.SIMULATED


class NodeImage(models.Model):
    """An image that a node can create from, as the node said when it was last asked.

    A node about which nothing is known yet has none.
    """

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="images")
    name = models.TextField()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["node", "name"], name="an_image_once_a_node"),
        ]

    def __str__(self) -> str:
        return self.name
