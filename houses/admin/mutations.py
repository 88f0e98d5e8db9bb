"""The log of changes, for operators: of all houses, and of what belongs to none."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from houses.models import Mutation
from houses.operators import OPERATOR, HouseFilter, Looking, Rows
from houses.retelling import audited, retell, word_for_table


class HouseOfMutation(HouseFilter):
    """By house, or of none: agents and tools of the installation belong to no house."""

    NOWHERE = "-"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(self.NOWHERE, "no house"), *super().lookups(request, model_admin)]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        if self.value() == self.NOWHERE:
            return queryset.filter(house_id=None)
        return queryset.filter(house_id=self.value()) if self.value() else queryset


class KindOfThing(admin.SimpleListFilter):
    """By what kind of thing was changed. Django's own filter would read the whole log for it."""

    title = "kind of thing"
    parameter_name = "table"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return sorted((table, word_for_table(table)) for table in audited())

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        return queryset.filter(table_name=self.value()) if self.value() else queryset


@admin.register(Mutation)
class MutationAdmin(Looking):
    list_display = ("at", "action", "table_name", "row_id", "house_id", "agent_id")
    list_filter = (HouseOfMutation, KindOfThing, "action")
    search_fields = ("row_id__exact", "agent_id__exact")
    readonly_fields = ("told",)
    ordering = ("-id",)

    @admin.display(description="in words")
    def told(self, row: Mutation) -> str:
        return retell([row], OPERATOR)[0].sentence
