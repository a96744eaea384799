"""What Berth uses of django-cte, which has no hints."""

from typing import Any, TypeVar

from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)

class CTE:
    def __init__(self, queryset: QuerySet[Any, Any], name: str = ...) -> None: ...
    def queryset(self) -> Any: ...

def with_cte(*ctes: CTE, select: QuerySet[M, M]) -> QuerySet[M, M]: ...
