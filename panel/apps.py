"""The shell around containers and orders: people, dashboard, health."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.core.checks import register
from django.db.models.signals import post_migrate


class PanelConfig(AppConfig):
    name = "panel"
    verbose_name = "People"

    def ready(self) -> None:
        from allauth.account.signals import password_reset
        from allauth.mfa.signals import authenticator_added

        from panel import accounts, checks, sessions, staff

        # Whoever is signed in elsewhere, without it, may be the one whom it is to keep out.
        authenticator_added.connect(sessions.end_others, dispatch_uid="berth")
        password_reset.connect(accounts.forget_failures, dispatch_uid="berth")
        post_migrate.connect(staff.make_group, dispatch_uid="berth")
        register(checks.demo_people, deploy=True)
        register(checks.dummy_gateway, deploy=True)
        register(checks.proxy, deploy=True)


class PanelAdminConfig(AdminConfig):
    default_site = "panel.admin_site.PanelAdminSite"
