"""The addresses of the pages of records, and what a member can do with them."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

from houses.capabilities import shown
from houses.finding import member_named
from houses.indoors import agent_of, in_house
from houses.models import House
from houses.pages.bindings import binding, binding_remove, bindings
from houses.pages.memories import memories, memory, memory_forget
from houses.pages.policies import policies, policy, policy_remove
from houses.pages.resources import resource, resource_remove, resources
from houses.pages.tools import tool, tool_remove, tools


@in_house
def capabilities(request: HttpRequest, house: House, agent_id: UUID) -> HttpResponse:
    """What a member can do here, as far as whoever looks may see it."""
    member = member_named(agent_id)
    can = shown(member, to=agent_of(request))
    names = {one.pk: one.name for one in (*can["tools"], *can["resources"])}
    for one in (*can["policies"], *can["secrets"]):
        one["names"] = [names[pk] for pk in (*one.get("tools", ()), *one["resources"]) if pk in names]
    context = {"house": house, "here": "settings", "member": member, "can": can}
    return render(request, "houses/capabilities.html", context)


SETTINGS = "houses/<str:house_id>/settings/"

urlpatterns = [
    path(SETTINGS + "members/<uuid:agent_id>/can/", capabilities, name="capabilities"),
    path(SETTINGS + "resources/", resources, name="resources"),
    path(SETTINGS + "resources/new/", resource, name="resource_new"),
    path(SETTINGS + "resources/<str:resource_id>/", resource, name="resource"),
    path(SETTINGS + "resources/<str:resource_id>/remove/", resource_remove, name="resource_remove"),
    path(SETTINGS + "tools/", tools, name="tools"),
    path(SETTINGS + "tools/new/", tool, name="tool_new"),
    path(SETTINGS + "tools/<str:tool_id>/", tool, name="tool"),
    path(SETTINGS + "tools/<str:tool_id>/remove/", tool_remove, name="tool_remove"),
    path(SETTINGS + "bindings/", bindings, name="bindings"),
    path(SETTINGS + "bindings/new/", binding, name="binding_new"),
    path(SETTINGS + "bindings/<str:binding_id>/", binding, name="binding"),
    path(SETTINGS + "bindings/<str:binding_id>/remove/", binding_remove, name="binding_remove"),
    path(SETTINGS + "policies/", policies, name="policies"),
    path(SETTINGS + "policies/new/", policy, name="policy_new"),
    path(SETTINGS + "policies/<str:policy_id>/", policy, name="policy"),
    path(SETTINGS + "policies/<str:policy_id>/remove/", policy_remove, name="policy_remove"),
    path(SETTINGS + "memory/", memories, name="memories"),
    path(SETTINGS + "memory/<str:memory_id>/", memory, name="memory"),
    path(SETTINGS + "memory/<str:memory_id>/forget/", memory_forget, name="memory_forget"),
]
