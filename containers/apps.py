"""Containers, the nodes they live on, and the work done on them."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ContainersConfig(AppConfig):
    name = "containers"

    def ready(self) -> None:
        from containers.models.raw_indexes import make_indexes

        post_migrate.connect(make_indexes, sender=self)
