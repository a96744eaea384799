"""What is on offer, and the form that orders it."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods, require_safe

from orders import checkout
from orders.checkout import NameTaken, TooManyUnpaid
from orders.forms import OrderForm
from orders.models import Plan
from panel.http import Request


@require_safe
def plans(request: Request) -> HttpResponse:
    offered = Plan.objects.offered().with_systems()
    return render(request, "orders/plans.html", {"section": "plans", "plans": offered})


# Kept for whoever goes back: a browser forgets what was typed together with the page.
@require_http_methods(["GET", "HEAD", "POST"])
@cache_control(private=True, no_cache=True)
def new(request: Request) -> HttpResponse:
    form = OrderForm(
        request.POST if request.method == "POST" else None,
        user=request.user,
        initial={"plan": request.GET.get("plan")},
    )
    refused = 422
    if form.is_valid():
        try:
            order = form.placed or checkout.place_order(by=request.user, **form.cleaned_data)
        except NameTaken:
            form.refuse_name()
        except TooManyUnpaid as reason:
            form.add_error(None, reason.sentence)
            refused = 429
        else:
            return redirect(order)
    context = {"section": "orders", "form": form}
    return render(request, "orders/new.html", context, status=refused if form.errors else 200)
