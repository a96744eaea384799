"""Containers, nodes, work and history in the Django admin: to look at, and to act on through
the same door as everywhere. Nothing here can be deleted."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import model_ngettext
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse

from containers import operations, search
from containers.filters import everybodys
from containers.models import (
    Action,
    Container,
    FileChange,
    Lifecycle,
    Node,
    Operation,
    StatusChange,
)
from containers.operations.work import STEPS
from containers.views.act import AT_ONCE, confirmed_for_all
from panel.admin_lists import BoundedAdmin, GuardedAdmin

if TYPE_CHECKING:
    from django.db.models import Model, QuerySet
    from django.forms import ModelForm

    from panel.models import User

FINDS_CONTAINERS = "Name, number (“ct-104”), address, customer or order (“order 104”)"
# Rows, each with the text that stands beside it.
DescribedRows = list[tuple[Any, str]]


class ChoiceFilter(admin.SimpleListFilter):
    """Filters by the column `parameter_name`, of which `values` returns what may be in it: Django's
    own filter would read all rows to find that out."""

    parameter_name: str
    values: staticmethod[[], Iterable[str]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value) for value in self.values()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        picked = self.value()
        return queryset.filter(**{self.parameter_name: picked}) if picked else queryset


class PlanFilter(ChoiceFilter):
    title = parameter_name = "plan"
    values = staticmethod(lambda: everybodys()[1])


class KindFilter(ChoiceFilter):
    title = parameter_name = "kind"
    values = staticmethod(lambda: STEPS)


class RecordAdmin(BoundedAdmin):
    """Rows that are neither added nor deleted by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class SearchedAdmin(RecordAdmin):
    """Rows that are searched as on the panel's own pages, by their indexes."""

    # Django shows its search field where there are any; nothing is looked for in them.
    search_fields = ("pk",)

    def found(self, rows: QuerySet[Any], text: str) -> QuerySet[Any]:
        """Those that the text finds."""
        raise NotImplementedError

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        text = search_term.replace("\0", "").strip()
        return self.found(queryset, text) if text else queryset, False


class ReadOnlyAdmin(RecordAdmin):
    """Rows that can be looked at, and nothing else."""

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class OfContainersAdmin(SearchedAdmin, ReadOnlyAdmin):
    """Rows about containers, found by what finds these."""

    search_help_text = FINDS_CONTAINERS

    def found(self, rows: QuerySet[Any], text: str) -> QuerySet[Any]:
        return search.of_found(rows, Container.objects.all(), text)


class ActionsAdmin(SearchedAdmin):
    """Rows of which no field can be edited, and to which the action menu of the list does
    something: by default the buttons of their table of transitions. An action that has a warning,
    or something to say of one of the ticked rows, asks on a page of its own first, which says to
    which it will be done."""

    list_select_related: ClassVar[list[str]]

    def press(self, request: HttpRequest, row: Any, action: Action) -> None:
        """Do the action on this row, and add a message that says what came of it."""
        raise NotImplementedError

    def why_not(self, row: Any, action: Action) -> str:
        """One sentence that says why the action is not possible on this row now."""
        raise NotImplementedError

    def whose(self, row: Any) -> str:
        """The customer whose row it is."""
        return str(row.customer)

    def comes_of_it(self, row: Any, action: Action) -> str:
        """What is said of a row on the page that asks, if `action.says` says nothing of it."""
        return str(row.get_status_display())

    def offered(self, request: HttpRequest) -> list[Action]:
        """What the menu has for this person. Each row is asked again when it is chosen."""
        model: type[Lifecycle] = self.model
        arrows = (arrow for arrow in model.transitions() if arrow.has_perm(model(), request.user))
        names = {arrow.name for arrow in arrows}
        return [action for name, action in model.actions().items() if name in names]

    def is_possible(self, request: HttpRequest, row: Any, action: Action) -> bool:
        """Whether this person can do the action to this row now."""
        return action in row.actions_for(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return obj is None and super().has_change_permission(request)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {
            action.name: (partial(type(self).act, action=action), action.name, action.label)
            for action in self.offered(request)
        }

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:  # type: ignore[override]
        """Take every ticked row, also one that has left the filtered list meanwhile: each gets its
        message."""
        if request.POST.get("select_across", "0") == "0":
            queryset = self.get_queryset(request).select_related(*self.list_select_related)
        return super().response_action(request, queryset)

    def act(
        self, request: HttpRequest, ticked: QuerySet[Any], *, action: Action
    ) -> HttpResponseBase | None:
        """An entry of the action menu was chosen, or the question about it answered."""
        if len(ticked[: AT_ONCE + 1]) > AT_ONCE:
            messages.error(request, f"{action.label}: tick {AT_ONCE} at most.")
            return None
        able, unable, asks = [], [], bool(action.warning)
        for row in ticked:
            if self.is_possible(request, row, action):
                said = action.says(row) if action.says else ""
                asks = asks or bool(said)
                able.append((row, f"{self.whose(row)}: {said or self.comes_of_it(row, action)}"))
            else:
                unable.append((row, f"{self.whose(row)}: {self.why_not(row, action)}"))
        if asks and not confirmed_for_all(request, action, len(able)):
            return self._ask(request, action, able, unable)
        for row in ticked:
            self.press(request, row, action)
        return None

    def _ask(
        self, request: HttpRequest, action: Action, able: DescribedRows, unable: DescribedRows
    ) -> HttpResponseBase:
        """The page that asks for confirmation, and says to which rows it will be done."""
        wrong = action.typed and "name" in request.POST
        to_all = f"{action.label}: {len(able)} {model_ngettext(self.opts, len(able))}?"
        context = {
            **self.admin_site.each_context(request),
            "title": to_all if able else f"{action.label} is not possible",
            "opts": self.opts,
            "checkbox": ACTION_CHECKBOX_NAME,
            "action": action,
            "able": able,
            "unable": unable,
            "phrase": action.phrase(len(able)),
            "typed": request.POST.get("name", ""),
            "wrong": wrong,
        }
        return TemplateResponse(
            request, "admin/act_on_ticked.html", context, status=422 if wrong else 200
        )


@admin.register(Container)
class ContainerAdmin(ActionsAdmin):
    list_display = ["name", "id", "is_now", "status_since", "customer", "plan", "node", "address"]
    list_filter = ["status", "node", PlanFilter]
    list_select_related = ["customer", "node"]
    search_help_text = FINDS_CONTAINERS
    fields = [
        "name", "customer", "is_now", "status_since", "problem", "plan", "cpus", "memory_mb",
        "disk_gb", "system", "image", "ssh_key", "node", "address", "ordered_at",
        "create_tries", "create_again_at", "withdrawn_at", "revision",
    ]  # fmt: skip
    readonly_fields = [str(field) for field in fields]

    @admin.display(description="status", ordering="status")
    def is_now(self, container: Container) -> str:
        return "Withdrawn" if container.withdrawn_at else container.get_status_display()

    def found(self, rows: QuerySet[Any], text: str) -> QuerySet[Any]:
        return search.few_or_many(rows, text, search.looked_up, search.matching)

    def press(self, request: HttpRequest, row: Container, action: Action) -> None:
        user: User = request.user  # type: ignore[assignment]
        because = "from the admin site"
        if why_not := operations.refusal(row.pk, action.name, by=user, because=because):
            messages.warning(request, why_not)
        else:
            messages.success(request, f"{action.label}: {row.name}, accepted.")

    def why_not(self, row: Container, action: Action) -> str:
        return operations.why_not(row, action.name)


@admin.register(Node)
class NodeAdmin(GuardedAdmin):
    list_display = ["name", "kind", "online", "online_since", "in_service", "memory_mb", "disk_gb"]
    list_filter = ["kind", "online", "in_service"]
    search_fields = ["name"]
    readonly_fields = ["kind", "online", "online_since", "misses", "seen_at", "problem", "version"]
    exclude = ["settings"]

    def get_readonly_fields(self, request: HttpRequest, obj: Node | None = None) -> list[str]:
        """The folder of a simulated node goes by its name."""
        return [*self.readonly_fields, *(["name"] if obj and obj.is_simulated else [])]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Node | None = None) -> bool:
        """A node that has ever had containers is part of their record."""
        return super().has_delete_permission(request, obj) and (
            obj is None or not obj.operations.exists()
        )

    def save_model(self, request: HttpRequest, obj: Node, form: ModelForm, change: bool) -> None:
        """Only what was typed: the watcher writes the rest of the row meanwhile."""
        obj.save(update_fields=form.changed_data)


@admin.register(Operation)
class OperationAdmin(OfContainersAdmin):
    list_display = [
        "id", "kind", "container", "node", "outcome", "asked_at", "ended_at", "asked_by", "attempts"
    ]  # fmt: skip
    list_filter = ["outcome", KindFilter, "node"]
    list_select_related = ["container", "node", "asked_by"]


@admin.register(StatusChange)
class StatusChangeAdmin(OfContainersAdmin):
    list_display = ["at", "container", "from_status", "to_status", "by", "because"]
    list_filter = ["to_status"]
    list_select_related = ["container", "by"]


@admin.register(FileChange)
class FileChangeAdmin(ReadOnlyAdmin):
    list_display = ["at", "container", "did", "path", "size", "by"]
    list_select_related = ["container", "by"]
    search_fields = ["container__name", "=container__id", "path"]
