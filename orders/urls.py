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
    path("orders/<int:pk>/cancel/", views.cancel, name="cancel"),
]
