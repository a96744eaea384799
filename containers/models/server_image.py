"""The images on image servers that systems are made of, and whether their servers have them."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models


def server_of(image: str) -> str:
    """The name of the image server in `server:alias`; "" for an alias on the node."""
    return image.partition(":")[0] if ":" in image else ""


def image_name(image: str) -> None:
    """Validates what a system is made of: an alias on the node, or `server:alias` with a server
    that the settings know. Raises ValidationError."""
    server, colon, alias = image.partition(":")
    if colon and server not in settings.IMAGE_SERVERS:
        known = ", ".join(settings.IMAGE_SERVERS) or "none"
        raise ValidationError(f"There is no image server {server}. Known: {known}.")
    if colon and not alias:
        raise ValidationError(f"Say which image of {server}, as in {server}:debian/12.")


class ServerImageQuerySet(models.QuerySet["ServerImage"]):
    def want(self, image: str) -> None:
        """Have the watcher ask for an image from now on, if it is on an image server."""
        if server_of(image):
            self.get_or_create(name=image)

    def there(self) -> ServerImageQuerySet:
        """Those that their servers had when they last answered."""
        return self.filter(is_there=True)


class ServerImage(models.Model):
    """An image on an image server, `server:alias`, as that one said when it last answered.

    `is_there` is None until the server has answered once, and stays what it is while the server
    does not answer any more; `problem` then says why, for staff.
    """

    name = models.TextField(unique=True)
    is_there = models.BooleanField(null=True)
    problem = models.TextField(blank=True)

    objects = ServerImageQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_new(self) -> bool:
        """Whether its server was never asked for it."""
        return self.is_there is None and not self.problem

    @property
    def state(self) -> str:
        """What stands in the way of creating from it, in plain words; "" where nothing does."""
        server = f"image server {server_of(self.name)}"
        if self.problem:
            return f"{server} does not answer: {self.problem}"
        if self.is_new:
            return f"{server} has not been asked yet"
        return "" if self.is_there else f"{server} does not have it"
