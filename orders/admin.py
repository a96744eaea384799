"""Plans, orders and payments in the Django admin. What was sold is a record: it is acted on
through `checkout` like everywhere, and neither made, changed nor deleted by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.text import capfirst

from containers.admin import ActionsAdmin, ChoiceFilter, ReadOnlyAdmin
from containers.models import Action
from containers.search import few_or_many
from orders import checkout, search
from orders.checkout import Refused
from orders.currencies import money
from orders.forms import PlanForm, SystemsField
from orders.models import Order, OrderChange, Payment, Plan, System
from orders.models.order import OrderQuerySet
from orders.models.payment import PaymentQuerySet
from panel.admin_lists import GuardedAdmin

if TYPE_CHECKING:
    from django.db.models import Model, QuerySet

    from panel.models import User


# What can be done to a payment, the door for it, and what is said of the payment afterwards.
GIVING_BACK: dict[Action, tuple[Callable[[Payment, User], None], str]] = {
    Action(
        "give_back", "Give back what is too much", "receipt",
        warning="The gateway pays it back to whoever has paid it. That cannot be taken back.",
    ): (checkout.give_back, "was given back"),
    Action(
        "was_given_back", "Was given back at the gateway", "receipt",
        warning="The gateway is not asked: it is only written down that it has paid the money "
        "back. Look there first. That cannot be taken back.",
    ): (checkout.was_given_back, "is written down as given back"),
}  # fmt: skip


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


class ToBeActedOnFilter(admin.SimpleListFilter):
    """The rows on which somebody has to act: `narrowed` returns those among all."""

    narrowed: staticmethod[[Any], Any]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Somebody has to act")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return self.narrowed(queryset) if self.value() == "yes" else queryset


class PaidNotCreatedFilter(ToBeActedOnFilter):
    title, parameter_name = "paid, not created", "stuck"
    narrowed = staticmethod(OrderQuerySet.paid_not_created)


class ToBeGivenBackFilter(ToBeActedOnFilter):
    title, parameter_name = "to be given back", "owed"
    narrowed = staticmethod(PaymentQuerySet.to_be_given_back)


class RecordInline(admin.TabularInline):
    """Rows of an order that are neither added nor deleted by hand."""

    can_delete = False
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ChangeInline(RecordInline):
    model = OrderChange
    verbose_name_plural = "history"
    fields: ClassVar[tuple[str, ...]] = ("at", "from_status", "to_status", "by", "because")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[OrderChange]:
        return super().get_queryset(request).select_related("by")


class PaymentInline(RecordInline):
    model = Payment
    fields: ClassVar[tuple[str, ...]] = (
        "id", "status", "costs", "gateway", "modified", "owed", "message"
    )  # fmt: skip
    readonly_fields = fields
    show_change_link = True


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

    def problem(self, order: Order) -> str:
        return order.container.problem or "none"

    def found(self, rows: QuerySet[Any], text: str) -> QuerySet[Any]:
        return few_or_many(rows, text, search.looked_up, search.matching)

    def offered(self, request: HttpRequest) -> list[Action]:
        if not self.has_change_permission(request):
            return []
        return [action for action in super().offered(request) if action.name in checkout.BUTTONS]

    def press(self, request: HttpRequest, row: Order, action: Action) -> None:
        user: User = request.user  # type: ignore[assignment]
        try:
            messages.success(request, checkout.press(row, action.name, user))
        except Refused as reason:
            messages.warning(request, reason.sentence)

    def why_not(self, row: Order, action: Action) -> str:
        return checkout.why_not(row, action.name)


class GatewayFilter(ChoiceFilter):
    title, parameter_name = "gateway", "variant"
    values = staticmethod(lambda: settings.PAYMENT_VARIANTS)


@admin.register(Payment)
class PaymentAdmin(ActionsAdmin, ReadOnlyAdmin):
    list_display = [
        "__str__", "status", "owed", "order", "whose", "costs", "gateway", "modified"
    ]  # fmt: skip
    list_filter = [ToBeGivenBackFilter, "status", GatewayFilter, "created"]
    list_select_related = ["order__customer"]
    search_help_text = (
        "Number (“payment 12”), number at the gateway; or order, its container, plan or customer"
    )
    fields: ClassVar[tuple[str, ...]] = (
        "order", "whose", "status", "owed", "giving_back_since", "costs",
        "arrived", "gateway", "transaction_id", "message", "fraud_status",
        "fraud_message", "created", "modified",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description="arrived, and not given back")
    def arrived(self, payment: Payment) -> str:
        return money(payment.captured_amount, payment.currency)

    @admin.display(description="customer", ordering="order__customer__username")
    def whose(self, row: Payment) -> str:
        return str(row.order.customer)

    def found(self, rows: QuerySet[Any], text: str) -> QuerySet[Any]:
        return few_or_many(rows, text, search.payments_looked_up, search.payments_matching)

    def offered(self, request: HttpRequest) -> list[Action]:
        """Looking at payments is not enough; nobody changes them, but this moves money."""
        return list(GIVING_BACK) if request.user.has_perm("orders.change_payment") else []

    def is_possible(self, request: HttpRequest, row: Payment, action: Action) -> bool:
        return row.is_to_be_given_back()

    def comes_of_it(self, row: Payment, action: Action) -> str:
        return money(row.captured_amount, row.currency)

    def why_not(self, row: Payment, action: Action) -> str:
        return checkout.nothing_to_give_back(row)

    def press(self, request: HttpRequest, row: Payment, action: Action) -> None:
        user: User = request.user  # type: ignore[assignment]
        settle, done = GIVING_BACK[action]
        try:
            settle(row, user)
        except Refused as reason:
            messages.warning(request, reason.sentence)
        else:
            messages.success(request, f"{capfirst(str(row))} {done}.")
