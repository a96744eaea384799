"""The shell around containers and orders: people, dashboard, health."""

from django.apps import AppConfig


class PanelConfig(AppConfig):
    name = "panel"
    verbose_name = "People"
