"""Plans, orders and payments in the Django admin. What was sold is a record: it is acted on
through `checkout` like everywhere, and neither made, changed nor deleted by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponseBase
from django.utils.text import capfirst

from containers.admin import (
    ActionsAdmin,
    ChoiceFilter,
    ReadOnlyAdmin,
    SearchedAdmin,
    are_too_many,
    question,
)
from containers.models import Action
from containers.views.act import confirmed_for_all
from orders import checkout, search
from orders.checkout import Refused
from orders.forms import PlanForm, SystemsField
from orders.models import Order, OrderChange, Payment, Plan, System
from orders.templatetags.money import money
from panel.admin_lists import GuardedAdmin

if TYPE_CHECKING:
    from django.db.models import Model, QuerySet
    from django_fsm import Transition

    from panel.models import User


GIVE_BACK = Action(
    "give_back", "Give back what is too much", "receipt",
    warning="The gateway pays it back to whoever has paid it. That cannot be taken back.",
)  # fmt: skip
WAS_GIVEN_BACK = Action(
    "was_given_back", "Was given back at the gateway", "receipt",
    warning="The gateway is not asked: it is only written down that it has paid the money back. "
    "Look there first. That cannot be taken back.",
)  # fmt: skip


@admin.register(System)
class SystemAdmin(GuardedAdmin):
    list_display = ["name", "image", "is_to_be_had"]
    search_fields = ["name", "image"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[System]:
        return System.objects.with_availability()

    @admin.display(description="available", boolean=True)
    def is_to_be_had(self, system: Any) -> bool:
        return bool(system.is_available)


@admin.register(Plan)
class PlanAdmin(GuardedAdmin):
    """What is on offer. A change concerns only what is ordered after it; a plan that was ever
    ordered is taken off offer, never deleted."""

    form = PlanForm
    list_display = ["name", "costs", "period", "cpus", "memory_mb", "disk_gb", "is_offered"]
    list_filter = ["is_offered", "period", "systems"]
    search_fields = ["name", "description"]
    filter_horizontal = ["systems"]

    @admin.display(description="price", ordering="price")
    def costs(self, plan: Plan) -> str:
        return money(plan.price)

    def formfield_for_manytomany(self, *args: Any, **kwargs: Any) -> Any:
        available = System.objects.with_availability()
        return super().formfield_for_manytomany(
            *args, **kwargs | {"form_class": SystemsField, "queryset": available}
        )

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        ordered = isinstance(obj, Plan) and obj.orders.exists()
        return not ordered and super().has_delete_permission(request, obj)


class PaidNotCreatedFilter(admin.SimpleListFilter):
    """The orders on which somebody has to act."""

    title = "paid, not created"
    parameter_name = "stuck"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Somebody has to act")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.paid_not_created() if self.value() == "yes" else queryset


class ChangeInline(admin.TabularInline):
    model = OrderChange
    verbose_name_plural = "history"
    fields: ClassVar[tuple[str, ...]] = ("at", "from_status", "to_status", "by", "because")
    readonly_fields = fields
    can_delete = False
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[OrderChange]:
        return super().get_queryset(request).select_related("by")


class PaymentInline(admin.TabularInline):
    model = Payment
    fields: ClassVar[tuple[str, ...]] = (
        "id", "status", "costs", "variant", "modified", "is_surplus", "message"
    )  # fmt: skip
    readonly_fields = fields
    show_change_link = True
    can_delete = False
    extra = 0

    @admin.display(description="total")
    def costs(self, payment: Payment) -> str:
        return money(payment.total, payment.currency)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Order)
class OrderAdmin(ActionsAdmin):
    list_display = [
        "id", "status", "customer", "plan", "costs", "container", "container_is", "ordered_at"
    ]  # fmt: skip
    list_filter = [PaidNotCreatedFilter, "status", "plan", "ordered_at"]
    list_select_related = ["customer", "plan", "container"]
    search_help_text = "Number (“order 12”), container, plan or customer"
    fields: ClassVar[tuple[str, ...]] = (
        "status", "customer", "plan", "costs", "period", "container", "container_is", "problem",
        "ordered_at", "paid_at",
    )  # fmt: skip
    readonly_fields = fields
    inlines = [ChangeInline, PaymentInline]

    @admin.display(description="price", ordering="price")
    def costs(self, order: Order) -> str:
        return money(order.price, order.currency)

    @admin.display(description="container is", ordering="container__status")
    def container_is(self, order: Order) -> str:
        container = order.container
        return "withdrawn" if container.withdrawn_at else container.get_status_display()

    @admin.display(empty_value="none")
    def problem(self, order: Order) -> str:
        return order.container.problem

    def looked_up(self, rows: Any, text: str, most: int) -> QuerySet[Any]:
        return search.looked_up(rows, text, most)

    def matching(self, rows: Any, text: str) -> QuerySet[Any]:
        return search.matching(rows, text)

    def offers(self, arrow: Transition, request: HttpRequest) -> bool:
        done_here = arrow.name in checkout.BUTTONS and self.has_change_permission(request)
        return done_here and super().offers(arrow, request)

    def press(self, request: HttpRequest, row: Order, action: Action) -> None:
        user: User = request.user  # type: ignore[assignment]
        try:
            messages.success(request, checkout.press(row, action.name, user))
        except Refused as reason:
            messages.warning(request, reason.sentence)

    def why_not(self, row: Order, action: Action) -> str:
        return checkout.why_not(row, action.name)

    def comes_of_it(self, row: Order, action: Action) -> str:
        if action.name == "refund":
            return f"{money(checkout.gives_back(row), row.currency)} goes back"
        return super().comes_of_it(row, action)


class GatewayFilter(ChoiceFilter):
    title, parameter_name = "gateway", "variant"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in settings.PAYMENT_VARIANTS]


@admin.register(Payment)
class PaymentAdmin(SearchedAdmin, ReadOnlyAdmin):
    list_display = [
        "__str__", "status", "is_surplus", "order", "customer", "costs", "variant", "modified"
    ]  # fmt: skip
    list_filter = ["is_surplus", "status", GatewayFilter, "created"]
    list_select_related = ["order__customer"]
    search_help_text = (
        "Number (“payment 12”), number at the gateway; or order, its container, plan or customer"
    )
    fields: ClassVar[tuple[str, ...]] = (
        "order", "customer", "status", "is_surplus", "giving_back_since", "costs",
        "arrived", "variant", "transaction_id", "message", "fraud_status",
        "fraud_message", "created", "modified",
    )  # fmt: skip
    readonly_fields = fields
    actions = ["give_back", "was_given_back"]

    @admin.display(ordering="order__customer__username")
    def customer(self, payment: Payment) -> str:
        return str(payment.order.customer)

    @admin.display(description="total", ordering="total")
    def costs(self, payment: Payment) -> str:
        return money(payment.total, payment.currency)

    @admin.display(description="arrived, and not given back")
    def arrived(self, payment: Payment) -> str:
        return money(payment.captured_amount, payment.currency)

    def looked_up(self, rows: Any, text: str, most: int) -> QuerySet[Any]:
        return search.payments_looked_up(rows, text, most)

    def matching(self, rows: Any, text: str) -> QuerySet[Any]:
        return search.payments_matching(rows, text)

    def has_give_back_permission(self, request: HttpRequest) -> bool:
        """Looking at payments is not enough; nobody changes them, but this moves money."""
        return request.user.has_perm("orders.change_payment")

    @admin.action(description=GIVE_BACK.label, permissions=["give_back"])
    def give_back(self, request: HttpRequest, ticked: QuerySet[Payment]) -> HttpResponseBase | None:
        done = "{} was given back."
        return self._settle(request, ticked, GIVE_BACK, checkout.give_back, done)

    @admin.action(description=WAS_GIVEN_BACK.label, permissions=["give_back"])
    def was_given_back(
        self, request: HttpRequest, ticked: QuerySet[Payment]
    ) -> HttpResponseBase | None:
        done = "{} is written down as given back."
        return self._settle(request, ticked, WAS_GIVEN_BACK, checkout.was_given_back, done)

    def _settle(
        self, request: HttpRequest, ticked: QuerySet[Payment], action: Action,
        settle: Callable[[Payment, User], None], done: str,
    ) -> HttpResponseBase | None:  # fmt: skip
        """Ask whether it is meant, then do it to each, and say what came of it."""
        user: User = request.user  # type: ignore[assignment]
        if are_too_many(request, ticked, action):
            return None
        able, unable = [], []
        for payment in ticked:
            whose = f"{payment.order.customer}: {money(payment.captured_amount, payment.currency)}"
            if payment.is_to_be_given_back():
                able.append((payment, whose))
            else:
                unable.append((payment, f"{whose}, of which nothing is to be given back"))
        if able and not confirmed_for_all(request, action, len(able)):
            return question(self, request, action, able, unable)
        for payment in ticked:
            try:
                settle(payment, user)
            except Refused as reason:
                messages.warning(request, reason.sentence)
            else:
                messages.success(request, done.format(capfirst(str(payment))))
        return None
