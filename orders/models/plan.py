"""What can be ordered: plans, and the systems that they offer."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.core.validators import MinValueValidator
from django.db import models

from containers.models import Container, Node, NodeImage, ServerImage
from containers.models.server_image import ServerImageQuerySet, image_name


class SystemQuerySet(models.QuerySet["System"]):
    def offered(self) -> SystemQuerySet:
        """What can be chosen with some plan that can be ordered now."""
        return self.filter(plans__in=Plan.objects.offered()).distinct()

    def with_availability(self) -> SystemQuerySet:
        """Adds `is_available`: whether a node in service has it, or can fetch it. A node or an
        image server that does not answer just now counts: an order waits for it. And `is_waiting`:
        whether an order would have to wait for an image server."""
        in_service = Node.objects.filter(in_service=True)
        having = NodeImage.objects.filter(node__in_service=True, name=models.OuterRef("image"))
        served = ServerImage.objects.there().filter(name=models.OuterRef("image"))
        fetched = models.Exists(served) & models.Exists(in_service)
        return self.annotate(
            is_available=models.Exists(having) | fetched,
            is_waiting=models.Exists(served.exclude(problem="")),
        )

    def lacking_on(self, node: Node) -> SystemQuerySet:
        """What a node does not have, as far as it has said, and cannot fetch from anywhere."""
        here, fetched = node.images.values("name"), ServerImage.objects.values("name")
        return self.exclude(image__in=here).exclude(image__in=fetched)

    def fetched(self) -> ServerImageQuerySet:
        """The images on image servers that these systems are made of."""
        return ServerImage.objects.filter(name__in=self.values("image"))


class System(models.Model):
    """An operating system to choose from, and the image that a node makes it of."""

    name = models.CharField(max_length=80, unique=True)
    image = models.CharField(
        max_length=120,
        validators=[image_name],
        help_text="As the nodes know it: debian/12. "
        "Or as an image server does, from which they fetch it: images:debian/12",
    )

    objects = SystemQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        ServerImage.objects.want(self.image)
        forget_unwanted_images()


def forget_unwanted_images(**_: Any) -> None:
    """Have the watcher ask no longer for what neither a system nor a container is made of."""
    living = Container.objects.living().filter(image=models.OuterRef("name"))
    unwanted = ServerImage.objects.exclude(name__in=System.objects.values("image"))
    unwanted.exclude(models.Exists(living)).delete()


class PlanQuerySet(models.QuerySet["Plan"]):
    def offered(self) -> PlanQuerySet:
        """What can be ordered now."""
        return self.filter(is_offered=True, systems__isnull=False).distinct()

    def with_systems(self) -> PlanQuerySet:
        """With the systems of each, and whether they are to be had."""
        return self.prefetch_related(models.Prefetch("systems", System.objects.with_availability()))


class Plan(models.Model):
    """What can be ordered. A change concerns only what is ordered after it."""

    class Period(models.TextChoices):
        MONTH = "month", "month"
        YEAR = "year", "year"

    name = models.CharField(max_length=80, unique=True)
    description = models.CharField(max_length=200, blank=True)
    cpus = models.PositiveIntegerField("processor cores", validators=[MinValueValidator(1)])
    memory_mb = models.PositiveIntegerField("memory in MiB", validators=[MinValueValidator(64)])
    disk_gb = models.PositiveIntegerField("disk in GiB", validators=[MinValueValidator(1)])
    systems = models.ManyToManyField(System, related_name="plans")
    price = models.DecimalField(
        max_digits=9, decimal_places=2, validators=[MinValueValidator(Decimal("0.01"))]
    )
    period = models.CharField(max_length=10, choices=Period, default=Period.MONTH)
    is_offered = models.BooleanField("offered", default=True, help_text="Can be ordered now.")

    objects = PlanQuerySet.as_manager()

    class Meta:
        ordering = ["price", "name"]

    def __str__(self) -> str:
        return self.name

    @property
    def terms(self) -> str:
        """What is got for what, to compare with what a customer was shown."""
        return f"{self.price} {self.period} {self.cpus} {self.memory_mb} {self.disk_gb}"
