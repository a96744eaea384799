"""Table of contents: plans, orders, paying."""

from django.urls import path

from orders import views

app_name = "orders"
urlpatterns = [
    path("plans/", views.plans, name="plans"),
    path("orders/", views.orders, name="list"),
    path("orders/new/", views.new, name="new"),
    path("orders/<int:pk>/", views.order, name="detail"),
    path("orders/<int:pk>/pay/", views.pay, name="pay"),
    path("orders/<int:pk>/cancel/", views.act, {"name": "cancel"}, name="cancel"),
    path("orders/<int:pk>/refund/", views.act, {"name": "refund"}, name="refund"),
    path("orders/<int:pk>/try-again/", views.act, {"name": "try_again"}, name="try_again"),
]
