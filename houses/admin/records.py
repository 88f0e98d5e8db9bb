"""Records, for operators: what there is in every house, and never what is remembered or kept secret."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from houses.models import (
    ActivationPolicy,
    BoundAgent,
    BoundResource,
    Memory,
    PolicyResource,
    Resource,
    SecretBinding,
    Tool,
)
from houses.operators import OPERATOR, HouseFilter, Looking


@admin.register(Resource)
class ResourceAdmin(Looking):
    list_display = ("name", "house", "kind", "external_id", "updated_at")
    list_filter = (HouseFilter, "kind")
    list_select_related = ("house",)
    search_fields = ("name", "external_id", "id", "house__name")
    ordering = ("house", "name")
    actions = ("remove",)

    @admin.action(description="Remove, with what was granted on them")
    def remove(self, request: HttpRequest, rows: QuerySet[Resource]) -> None:
        self.act(request, rows, lambda resource, by: resource.remove(by=by), "removed")


@admin.register(Tool)
class ToolAdmin(Looking):
    """The installation's tools have no house; they come with a migration."""

    list_display = ("name", "house", "kind", "description", "updated_at")
    list_filter = (HouseFilter, "kind")
    list_select_related = ("house",)
    search_fields = ("name", "id", "house__name")
    ordering = ("house", "name")
    actions = ("remove",)

    @admin.action(description="Remove those of houses, with what was granted on them")
    def remove(self, request: HttpRequest, rows: QuerySet[Tool]) -> None:
        self.act(request, rows.exclude(house=None), lambda tool, by: tool.remove(by=by), "removed")


@admin.register(Memory)
class MemoryAdmin(Looking):
    """That something is remembered; what it says is not for operators."""

    list_display = ("id", "house", "kind", "is_private", "created_by", "created_at")
    list_filter = (HouseFilter, "kind")
    list_select_related = ("house", "created_by")
    search_fields = ("id", "house__name")
    ordering = ("-created_at",)
    hidden = ("subject", "text", "words", "tags", "source")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Memory]:
        return super().get_queryset(request).defer("subject", "text", "words", "tags", "source")

    @admin.display(boolean=True, description="private")
    def is_private(self, memory: Memory) -> bool:
        return memory.is_private


@admin.register(SecretBinding)
class BindingAdmin(Looking):
    list_display = ("name", "house", "secret", "updated_at")
    list_filter = (HouseFilter,)
    list_select_related = ("house", "secret")
    search_fields = ("name", "secret__name", "id", "house__name")
    ordering = ("house", "name")
    readonly_fields = ("serves", "goes_to")
    actions = ("remove",)

    @admin.display(description="resources")
    def serves(self, binding: SecretBinding) -> SafeString:
        rows = BoundResource.objects.using(OPERATOR).filter(binding=binding).select_related("resource")
        return _lines(sorted((one.resource.name, one.resource_id) for one in rows))

    @admin.display(description="agents")
    def goes_to(self, binding: SecretBinding) -> SafeString:
        rows = BoundAgent.objects.using(OPERATOR).filter(binding=binding).select_related("agent")
        return _lines(sorted((str(one.agent), str(one.agent_id)) for one in rows))

    @admin.action(description="Remove: nobody gets the credential by it any more")
    def remove(self, request: HttpRequest, rows: QuerySet[SecretBinding]) -> None:
        self.act(request, rows, lambda binding, by: binding.remove(by=by), "removed")


@admin.register(ActivationPolicy)
class PolicyAdmin(Looking):
    list_display = ("__str__", "house", "agent", "trigger", "enabled", "updated_at")
    list_filter = (HouseFilter, "trigger", "enabled")
    list_select_related = ("house", "agent")
    search_fields = ("name", "agent__name", "id", "house__name")
    ordering = ("-updated_at",)
    readonly_fields = ("about",)
    actions = ("switch_off", "switch_on")

    @admin.display(description="resources")
    def about(self, policy: ActivationPolicy) -> SafeString:
        rows = PolicyResource.objects.using(OPERATOR).filter(policy=policy).select_related("resource")
        return _lines(sorted((one.resource.name, one.resource_id) for one in rows))

    @admin.action(description="Switch off")
    def switch_off(self, request: HttpRequest, rows: QuerySet[ActivationPolicy]) -> None:
        self.act(request, rows, lambda policy, by: policy.switch(False, by=by), "switched off")

    @admin.action(description="Switch on")
    def switch_on(self, request: HttpRequest, rows: QuerySet[ActivationPolicy]) -> None:
        self.act(request, rows, lambda policy, by: policy.switch(True, by=by), "switched on")


def _lines(rows: list[tuple[Any, Any]]) -> SafeString:
    return format_html_join("", "<div>{} ({})</div>", rows)
