"""What the pages of nodes show of the systems that are on offer."""

from __future__ import annotations

from collections.abc import Iterable

from django import template

from containers.models import Node, ServerImage
from orders.models import System

register = template.Library()


@register.simple_tag
def systems_lacking_on(node: Node) -> Iterable[System]:
    """The systems on offer that a node does not have and cannot fetch."""
    return System.objects.offered().lacking_on(node)


@register.simple_tag
def images_to_fetch() -> Iterable[ServerImage]:
    """The images on image servers that the systems on offer are made of."""
    return System.objects.offered().fetched()
