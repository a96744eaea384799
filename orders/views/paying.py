"""Paying an order: what it costs, the gateway's own form, and the way there and back."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlsplit

from csp.decorators import csp_update
from django import forms
from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods
from payments import PaymentStatus, RedirectNeeded
from payments.core import provider_factory
from payments.dummy import DummyProvider

from orders import checkout
from orders.checkout import GATEWAY_ERRORS, Refused
from orders.forms import SimulatedPaymentForm
from orders.models import Order, Payment
from panel.http import Request, is_ours

logger = logging.getLogger(__name__)


@require_http_methods(["GET", "HEAD", "POST"])
def pay(request: Request, pk: int) -> HttpResponseBase:
    visible = Order.objects.visible_to(request.user).select_related("container")
    order = get_object_or_404(visible, pk=pk)
    if order.action_for(request.user, "pay") is None:
        messages.info(request, checkout.why_not(order, "pay"))
        return redirect(order)

    form = SimulatedPaymentForm(request.POST or None) if _is_simulated() else None
    if request.method == "POST" and (form is None or form.is_valid()):
        # The button of our own page begins; what the gateway's form brings goes to the gateway.
        brought = None if "begin" in request.POST else request.POST
        return _go_on(request, order, form.for_gateway() if form else brought)
    status = 422 if form and form.errors else 200
    return _page(request, order, status=status, simulated=form)


def _is_simulated() -> bool:
    return isinstance(provider_factory(checkout.gateway()), DummyProvider)


def _page(request: Request, order: Order, *, status: int = 200, **more: Any) -> HttpResponse:
    context = {"section": "orders", "order": order, **more}
    return render(request, "orders/pay.html", context, status=status)


def _go_on(request: Request, order: Order, brought: Any) -> HttpResponseBase:
    """Take the next step with the gateway: its form, a way to its own pages, or the result."""
    try:
        with checkout.at_the_gateway(order, request.user) as payment:
            form = payment.get_form(brought)
    except Refused as reason:
        messages.info(request, reason.sentence)
        return redirect(order)
    except RedirectNeeded as elsewhere:
        return _follow(request, payment, str(elsewhere))
    except GATEWAY_ERRORS as error:
        logger.warning("%s: the gateway failed: %s", payment, error)
        messages.error(
            request,
            "The gateway did not take the payment, or cannot be reached just now. Should it have "
            "arrived all the same, this page will show it. Otherwise try again in a minute.",
        )
        return redirect(order)
    return _ask(request, order, form)


def _ask(request: Request, order: Order, form: forms.Form) -> HttpResponseBase:
    """Show the gateway's own form; where it posts to the gateway itself, let it."""
    gateway = urlsplit(form.action)  # type: ignore[attr-defined]
    page = _page(request, order, gateway_form=form, is_elsewhere=bool(gateway.netloc))
    if not gateway.netloc:
        return page
    let = csp_update({"form-action": f"{gateway.scheme}://{gateway.netloc}"})
    return let(lambda _: page)(request)


def _follow(request: Request, payment: Payment, url: str) -> HttpResponse:
    """To where the gateway sends the customer. Away from here that takes a page of its own:
    browsers let no form end elsewhere than the Content-Security-Policy allows."""
    if url == payment.get_success_url():
        _add_message(request, payment)
        return redirect(payment.order)
    if is_ours(request, url):
        return redirect(url)
    return _page(request, payment.order, elsewhere=url)


def _add_message(request: Request, payment: Payment) -> None:
    if payment.is_surplus:
        messages.warning(
            request,
            f"The payment has arrived, but order {payment.order_id} does not need it: "
            "it is to be given back.",
        )
    elif payment.status == PaymentStatus.CONFIRMED:
        messages.success(request, f"Thank you. Order {payment.order_id} is paid.")
    elif payment.status == PaymentStatus.REJECTED:
        messages.error(request, "The payment did not succeed. Nothing was charged. Try again.")
    elif payment.status == PaymentStatus.PREAUTH:
        messages.info(request, checkout.STILL_CHECKED)
