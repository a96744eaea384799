"""Containers, the nodes they live on, and the work done on them."""

from django.apps import AppConfig


class ContainersConfig(AppConfig):
    name = "containers"
