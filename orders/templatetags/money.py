"""Amounts of money as people write them."""

from __future__ import annotations

from django import template

from orders import currencies

register = template.Library()
register.filter(currencies.money)
