"""The page of one order as a time line, and its buttons."""

from __future__ import annotations

from dataclasses import replace

from django.contrib import messages
from django.db.models import prefetch_related_objects
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from containers.views.polling import digest, poll_seconds
from orders import checkout
from orders.checkout import Refused
from orders.models import Order
from orders.views.listing import under_way
from orders.views.timeline import steps
from panel.http import Request, dialog, go_to


@require_safe
def order(request: Request, pk: int) -> HttpResponse:
    visible = Order.objects.visible_to(request.user).select_related("container", "customer")
    found = get_object_or_404(visible, pk=pk)
    seen = _seen(found)
    if request.htmx and request.GET.get("seen") == seen:
        return HttpResponse(status=204)
    prefetch_related_objects([found], under_way())
    told = steps(found, request.user)
    if not request.user.sees_everything:
        told = [replace(step, detail="") for step in told]
    context = {
        "section": "orders",
        "order": found,
        "steps": told,
        "made": found.status == Order.Status.FULFILLED and not found.container.is_nowhere,
        "buttons": found.actions_for(request.user),
        "seen": seen,
        "poll_seconds": poll_seconds(found.container.is_transient),
    }
    return render(request, "orders/_order.html" if request.htmx else "orders/order.html", context)


def _seen(order: Order) -> str:
    """A digest of what the page shows of an order."""
    payments = list(order.payments.values_list("pk", "status", "is_surplus"))
    return digest(order.pk, order.status, order.container.revision, payments)


@require_http_methods(["GET", "HEAD", "POST"])
def act(request: Request, pk: int, name: str) -> HttpResponse:
    visible = Order.objects.visible_to(request.user).select_related("container")
    found = get_object_or_404(visible, pk=pk)
    if request.method == "POST":
        try:
            messages.success(request, checkout.press(found, name, request.user))
        except Refused as reason:
            messages.error(request, reason.sentence)
        return redirect(found)

    action = found.action_for(request.user, name)
    if action is None:
        messages.info(request, checkout.why_not(found, name))
        return go_to(request, found)
    question = action.question(found)
    context = {"section": "orders", "order": found, "action": action, "question": question}
    return dialog(request, "orders/_confirm.html", f"{action.label} {found.pk}", context)
