"""Containers, nodes, work and history in the Django admin: to look at, and to act on through
the same door as everywhere. Nothing here can be deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.http import HttpRequest

from containers import operations
from containers.models import Container, FileChange, Node, Operation, StatusChange

if TYPE_CHECKING:
    from django.db.models import Model, QuerySet

    from panel.models import User


class Kept(admin.ModelAdmin):
    """Rows that are neither made nor deleted by hand, and may be too many to count."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ReadOnly(Kept):
    """Rows that are a record: to be read."""

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def _bulk_action(name: str) -> Any:
    """An entry of the action menu that asks for `name` on each ticked container."""

    def run(_: ContainerAdmin, request: HttpRequest, ticked: QuerySet[Container]) -> None:
        user: User = request.user  # type: ignore[assignment]
        for container in ticked:
            because = "from the admin site"
            if why_not := operations.refusal(container.pk, name, by=user, because=because):
                messages.warning(request, why_not)
            else:
                label = Container.actions()[name].label
                messages.success(request, f"{label}: {container.name}, accepted.")

    return run


@admin.register(Container)
class ContainerAdmin(Kept):
    list_display = ["name", "id", "status", "status_since", "customer", "plan", "node", "address"]
    list_filter = ["status", "node", "plan"]
    list_select_related = ["customer", "node"]
    search_fields = ["name", "=id", "address", "customer__username", "customer__last_name"]
    date_hierarchy = "ordered_at"
    fields = [
        "name", "customer", "status", "status_since", "problem", "plan", "cpus", "memory_mb",
        "disk_gb", "system", "image", "ssh_key", "node", "address", "ordered_at",
        "create_tries", "create_again_at", "withdrawn_at", "revision",
    ]  # fmt: skip
    readonly_fields = [str(field) for field in fields]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """What this person may ever ask of a container: the table decides which, and again,
        for each container, when it is asked."""
        user: User = request.user  # type: ignore[assignment]
        return {
            arrow.name: (
                _bulk_action(arrow.name), arrow.name, f"{arrow.custom['label']} the ticked"
            )
            for arrow in Container.transitions()
            if "label" in arrow.custom and arrow.has_perm(Container(), user)
        }  # fmt: skip


@admin.register(Node)
class NodeAdmin(admin.ModelAdmin):
    list_display = ["name", "kind", "online", "online_since", "in_service", "memory_mb", "disk_gb"]
    list_filter = ["kind", "online", "in_service"]
    search_fields = ["name"]
    readonly_fields = ["kind", "online", "online_since", "misses", "seen_at", "problem", "version"]
    exclude = ["settings"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Node | None = None) -> bool:
        """A node that has ever had containers is part of their record."""
        return super().has_delete_permission(request, obj) and (
            obj is None or not obj.operations.exists()
        )


@admin.register(Operation)
class OperationAdmin(ReadOnly):
    list_display = [
        "id", "kind", "container", "node", "outcome", "asked_at", "ended_at", "asked_by", "attempts"
    ]  # fmt: skip
    list_filter = ["outcome", "kind", "node"]
    list_select_related = ["container", "node", "asked_by"]
    search_fields = ["container__name", "=container__id", "error", "error_detail"]
    date_hierarchy = "asked_at"


@admin.register(StatusChange)
class StatusChangeAdmin(ReadOnly):
    list_display = ["at", "container", "from_status", "to_status", "by", "because"]
    list_filter = ["to_status"]
    list_select_related = ["container", "by"]
    search_fields = ["container__name", "=container__id", "because"]
    date_hierarchy = "at"


@admin.register(FileChange)
class FileChangeAdmin(ReadOnly):
    list_display = ["at", "container", "did", "path", "size", "by"]
    list_filter = ["did"]
    list_select_related = ["container", "by"]
    search_fields = ["container__name", "=container__id", "path"]
    date_hierarchy = "at"
