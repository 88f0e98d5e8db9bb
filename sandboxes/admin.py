"""Environments and sandboxes, for operators."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from houses.operators import HouseFilter, Looking
from sandboxes.models import Environment, Sandbox


@admin.register(Environment)
class EnvironmentAdmin(Looking):
    """Recipes; a secret is in them by its name."""

    list_display = ("name", "house", "id", "created_at")
    list_filter = (HouseFilter,)
    list_select_related = ("house",)
    search_fields = ("name", "id", "house__name")
    ordering = ("house", "name")


@admin.register(Sandbox)
class SandboxAdmin(Looking):
    list_display = ("id", "house", "environment", "provider", "status", "created_at", "destroyed_at")
    list_filter = (HouseFilter, "status", "provider")
    list_select_related = ("house", "environment")
    search_fields = ("id", "provider_ref", "house__name")
    ordering = ("-created_at",)
    actions = ("destroy",)

    @admin.action(description="Destroy: its last snapshot stays")
    def destroy(self, request: HttpRequest, rows: QuerySet[Sandbox]) -> None:
        self.act(request, rows, lambda sandbox, by: sandbox.dismiss(by=by), "destroyed", outside=True)
