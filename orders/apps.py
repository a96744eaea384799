"""Plans, orders and payments: what is sold, bought and paid."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "orders"

    def ready(self) -> None:
        from payments.signals import status_changed

        from containers.operations import container_created
        from orders import checkout, notices

        status_changed.connect(checkout.payment_reported, dispatch_uid="berth")
        status_changed.connect(notices.payment_changed, dispatch_uid="berth.notices")
        container_created.connect(checkout.fulfil, dispatch_uid="berth")
