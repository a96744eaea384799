"""What a list of containers can be narrowed to: status, node, plan, customer, search, order."""

from __future__ import annotations

import django_filters
from django.db.models import Count, Q, QuerySet

from containers.models import Container, Node
from containers.statuses import Status
from panel.http import Request


def _visible_nodes(request: Request | None) -> QuerySet[Node]:
    return Node.objects.visible_to(request.user) if request else Node.objects.none()


def _largest_id() -> int:
    return 2**63 - 1


class ContainerFilter(django_filters.FilterSet):
    """Filters a queryset of visible containers by the parameters of the address.

    What makes no sense (`status=flying`) narrows nothing; it is no error of the person who
    followed a link. The destroyed are hidden unless their status is asked for.
    """

    q = django_filters.CharFilter(method="search", label="Search")
    node = django_filters.ModelChoiceFilter(queryset=_visible_nodes, empty_label="Every node")
    plan = django_filters.AllValuesFilter(empty_label="Every plan")
    customer = django_filters.NumberFilter(min_value=1, max_value=_largest_id())
    sort = django_filters.OrderingFilter(
        fields={
            "name": "name",
            "status": "status",
            "status_since": "since",
            "customer__last_name": "customer",
            "plan": "plan",
            "node__name": "node",
            "address": "address",
        }
    )

    class Meta:
        model = Container
        fields = ["q", "node", "plan", "customer", "sort"]

    def search(self, found: QuerySet[Container], _: str, text: str) -> QuerySet[Container]:
        """By name, id ("104" or "ct-104"), customer, address."""
        text = text.strip()
        number = text.lower().removeprefix("ct-")
        matches = (
            Q(name__icontains=text)
            | Q(address__startswith=text)
            | Q(customer__username__icontains=text)
            | Q(customer__first_name__icontains=text)
            | Q(customer__last_name__icontains=text)
            | Q(customer__email__iexact=text)
        )
        if number.isascii() and number.isdigit() and int(number) <= _largest_id():
            matches |= Q(pk=int(number))
        return found.filter(matches)


def counts_by_status(found: QuerySet[Container]) -> dict[str, int]:
    """How many containers are in each status, in the order of the table; none is left out."""
    counted = dict(found.order_by().values_list("status").annotate(Count("pk")))
    return {status.value: counted.get(status.value, 0) for status in Status}
