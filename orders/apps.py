"""Plans, orders and payments: what is sold, bought and paid."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "orders"

    def ready(self) -> None:
        from django.core.checks import register
        from django.db.models.signals import post_delete
        from payments.signals import status_changed

        from containers.operations import creation_ended
        from orders import checkout, checks, notices
        from orders.models.plan import System, forget_unwanted_images

        status_changed.connect(checkout.payment_reported, dispatch_uid="berth")
        status_changed.connect(notices.payment_changed, dispatch_uid="berth.notices")
        creation_ended.connect(checkout.created_or_not, dispatch_uid="berth")
        register(checks.gateways)
        post_delete.connect(forget_unwanted_images, sender=System, dispatch_uid="berth")
