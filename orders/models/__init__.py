"""What is sold and bought: systems and plans, orders with their history, payments."""

from orders.models.notice import NoticeCount
from orders.models.order import Order, OrderChange
from orders.models.payment import Payment
from orders.models.plan import Plan, System

__all__ = ["NoticeCount", "Order", "OrderChange", "Payment", "Plan", "System"]
