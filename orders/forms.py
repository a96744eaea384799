"""What people fill in: an order, a plan; and, where no money is real, how a payment ends."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django import forms
from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.utils.html import format_html
from payments import FraudStatus, PaymentStatus

from containers.models.container import ContainerQuerySet, host_name
from orders import checkout, ssh_keys
from orders.currencies import WHOLE
from orders.models import Order, Plan, System
from orders.models.plan import PlanQuerySet
from panel.forms import PersonField
from panel.models import User

if TYPE_CHECKING:
    from django.utils.datastructures import MultiValueDict


class SystemSelect(forms.Select):
    """Shows the systems that no node has, but lets nobody choose them."""

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option: dict[str, Any] = super().create_option(name, value, *args, **kwargs)
        if value and not value.instance.is_available:
            option["attrs"]["disabled"] = True
        return option


def choice_label(system: Any, *notes: str) -> str:
    """What a choice of a system says: its name, and what would come of it. It is one of those
    `with_availability()`."""
    if not system.is_available:
        notes = (*notes, "not available just now")
    elif system.is_waiting:
        notes = (*notes, "may have to wait: its image server is silent")
    return f"{system} ({'; '.join(notes)})" if notes else str(system)


class SystemField(forms.ModelChoiceField):
    """A system of the plans on offer. Which plan will be chosen is not known yet, so a system that
    not all plans have says which do."""

    widget = SystemSelect

    def offer(self, plans: PlanQuerySet) -> None:
        self.queryset = System.objects.offered().with_availability()
        self._plans = plans

    def label_from_instance(self, system: Any) -> str:
        having = [plan.name for plan in self._plans if system in plan.systems.all()]
        lacking = [plan.name for plan in self._plans if plan.name not in having]
        if not lacking:
            return choice_label(system)
        if len(lacking) < len(having):
            return choice_label(system, f"not with {', '.join(lacking)}")
        return choice_label(system, f"only with {', '.join(having)}")


class SystemsField(forms.ModelMultipleChoiceField):
    """The systems of a plan, from those `with_availability()`."""

    def label_from_instance(self, system: Any) -> str:
        return choice_label(system)


class PlanForm(forms.ModelForm):
    """A plan, as staff write it down."""

    def clean_price(self) -> Decimal:
        price: Decimal = self.cleaned_data["price"]
        if price % 1 and settings.CURRENCY in WHOLE:
            raise ValidationError(f"{settings.CURRENCY} has no decimals. Enter a whole number.")
        return price


class OrderForm(forms.Form):
    """One container to order. `placed` is the order that this very form has made before; where
    that has ended, the form asks to be sent once more, with a new token."""

    plan = forms.ModelChoiceField(
        Plan.objects.none(),
        widget=forms.RadioSelect,
        empty_label=None,
        error_messages={
            "required": "Choose a plan.",
            "invalid_choice": "This plan is not offered any more. Choose another.",
        },
    )
    name = forms.CharField(
        max_length=63,
        validators=[host_name],
        help_text="Its host name, such as web-01. Small letters, digits and hyphens.",
        error_messages={"required": "Give it a name."},
        # No autocomplete="off": whoever went back would find the field empty.
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"}),
    )
    system = SystemField(
        System.objects.none(),
        empty_label="Choose…",
        error_messages={
            "required": "Choose an operating system.",
            "invalid_choice": "This system is not offered any more. Choose another.",
        },
    )
    ssh_key = forms.CharField(
        label="SSH public key",
        required=False,
        max_length=8192,
        help_text="Lets you sign in as root. From a file such as ~/.ssh/id_ed25519.pub. "
        "It can be added later: in repair, to /root/.ssh/authorized_keys.",
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "class": "mono"}),
    )
    customer = PersonField()
    token = forms.UUIDField(widget=forms.HiddenInput, required=False)

    def __init__(
        self,
        data: MultiValueDict[str, Any] | None = None,
        *,
        user: User,
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            data, initial={"token": uuid4(), "customer": user.username} | (initial or {})
        )
        self.user = user
        self.placed: Order | None = None
        plans = Plan.objects.offered().with_systems()
        self.fields["plan"].queryset = plans  # type: ignore[attr-defined]
        self.fields["system"].offer(plans)  # type: ignore[attr-defined]
        if not user.sees_everything:
            del self.fields["customer"]

    def clean_ssh_key(self) -> str:
        text: str = self.cleaned_data["ssh_key"]
        return ssh_keys.parse(text) if text else ""

    def clean(self) -> None:
        if not self.user.sees_everything:
            self.cleaned_data["customer"] = self.user
        self.placed = self._placed_before()
        if self.placed:
            if self._is_living(self.placed):
                # Whatever has become of them since.
                for chosen in ("plan", "system"):
                    self.errors.pop(chosen, None)
                return
            self._ask_once_more(self.placed)
        self._check_name()
        self._check_system()
        self._check_terms()

    def _placed_before(self) -> Order | None:
        sent, token = self.cleaned_data, self.cleaned_data.get("token")
        if token is None or not {"customer", "name", "ssh_key"} <= sent.keys():
            return None
        try:
            plan = Plan.objects.get(pk=self.data["plan"])
            system = System.objects.get(pk=self.data["system"])
        except (KeyError, ValueError, ObjectDoesNotExist):
            return None
        customer, name, ssh_key = sent["customer"], sent["name"], sent["ssh_key"]
        return checkout.placed_before(customer, plan, system, name, ssh_key, token)

    def _is_living(self, placed: Order) -> bool:
        return placed.customer.containers.living().filter(order=placed).exists()

    def _ask_once_more(self, ended: Order) -> None:
        """Refuse the form, with a new token for the next press of Order: somebody who has gone back
        to it wants another container, a browser that sends it again by itself does not."""
        self.data = dict(self.data.items()) | {"token": uuid4()}
        end = "whose container is destroyed"
        if ended.container.withdrawn_at:
            end = f"which is {ended.get_status_display().lower()}"
        sentence = format_html(
            'This form has made <a href="{}">{}</a> already, {}. Press Order once more for '
            "another container.",
            ended.get_absolute_url(), ended, end,
        )  # fmt: skip
        self.add_error(None, sentence)

    def _check_name(self) -> None:
        if "name" in self.errors or "customer" in self.errors:
            return
        if self._named_so().exists():
            self.refuse_name()

    def refuse_name(self) -> None:
        """Say that the customer has a container of this name, and which."""
        customer: User = self.cleaned_data["customer"]
        whose = "You already have" if customer == self.user else f"{customer} already has"
        sentence = f"{whose} a container of this name. Choose another."
        # Whoever goes back and orders again may have a form with a new token before them.
        taken = self._named_so()
        if order := Order.objects.visible_to(self.user).filter(container__in=taken).first():
            sentence = format_html(
                '{} a container of this name: it is that of <a href="{}">{}</a>. For one more, '
                "choose another name.",
                whose, order.get_absolute_url(), order,
            )  # fmt: skip
        self.add_error("name", sentence)

    def _named_so(self) -> ContainerQuerySet:
        customer: User = self.cleaned_data["customer"]
        return customer.containers.living().filter(name=self.cleaned_data["name"])

    def _check_system(self) -> None:
        plan, system = self.cleaned_data.get("plan"), self.cleaned_data.get("system")
        if not (plan and system):
            return
        offered = plan.systems.with_availability()
        if system not in offered:
            names = ", ".join(map(str, offered))
            sentence = f"{plan} does not come with {system}. It offers: {names}."
            self.add_error("system", ValidationError(sentence))
        elif not system.is_available:
            others = ", ".join(str(other) for other in offered if other.is_available)
            instead = f"Choose {others}, or" if others else "Please"
            sentence = f"{system} is not available just now. {instead} come back later."
            self.add_error("system", ValidationError(sentence))

    def _check_terms(self) -> None:
        """A page may be old: nobody orders at a price that they were not shown."""
        plan = self.cleaned_data.get("plan")
        if plan is None:
            return
        shown = self.data.get(f"terms-{plan.pk}", plan.terms)
        if shown != plan.terms:
            sentence = f"{plan} has changed meanwhile. Order again if it suits you as it is now."
            self.add_error("plan", ValidationError(sentence))


class SimulatedPaymentForm(forms.Form):
    """How a payment through the dummy gateway ends, which asks nobody for money."""

    OUTCOMES = {
        "succeeds": ("The payment succeeds", PaymentStatus.CONFIRMED, "3ds-disabled"),
        "refused": ("The payment is refused", PaymentStatus.REJECTED, "3ds-disabled"),
        "unreachable": ("The gateway cannot be reached", PaymentStatus.ERROR, "failure"),
    }
    outcome = forms.ChoiceField(
        choices=[(name, label) for name, (label, _, _) in OUTCOMES.items()],
        initial="succeeds",
        widget=forms.RadioSelect,
    )

    def for_gateway(self) -> dict[str, str]:
        """What the dummy gateway's own form wants to be told. The form must be valid."""
        _, status, response = self.OUTCOMES[self.cleaned_data["outcome"]]
        return {
            "status": status,
            "fraud_status": FraudStatus.UNKNOWN,
            "gateway_response": response,
        }
