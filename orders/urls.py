"""Table of contents: plans, orders, paying."""

from django.urls import path

from orders.views import detail, listing, ordering, paying

app_name = "orders"
urlpatterns = [
    path("plans/", ordering.plans, name="plans"),
    path("orders/", listing.orders, name="list"),
    path("orders/new/", ordering.new, name="new"),
    path("orders/<int:pk>/", detail.order, name="detail"),
    path("orders/<int:pk>/pay/", paying.pay, name="pay"),
    path("orders/<int:pk>/cancel/", detail.act, {"name": "cancel"}, name="cancel"),
    path("orders/<int:pk>/refund/", detail.act, {"name": "refund"}, name="refund"),
    path("orders/<int:pk>/try-again/", detail.act, {"name": "try_again"}, name="try_again"),
]
