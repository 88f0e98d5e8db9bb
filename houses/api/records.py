"""The addresses of records: resources, tools, memories, bindings, policies, and what follows from them."""

from django.urls import path

from houses.api.bindings import BindingsView, BindingView
from houses.api.capabilities import CapabilitiesView
from houses.api.memories import MemoriesView, MemoryView, SuccessorView
from houses.api.policies import PoliciesView, PolicyView
from houses.api.resources import ResourcesView, ResourceView
from houses.api.tools import ToolCheckView, ToolsView, ToolView

HOUSE = "houses/<slug:house>/"

urlpatterns = [
    path(HOUSE + "resources/", ResourcesView.as_view()),
    path(HOUSE + "resources/<slug:resource>/", ResourceView.as_view()),
    path(HOUSE + "tools/", ToolsView.as_view()),
    path(HOUSE + "tools/<slug:tool>/", ToolView.as_view()),
    path(HOUSE + "tools/<slug:tool>/checks/", ToolCheckView.as_view()),
    path(HOUSE + "memories/", MemoriesView.as_view()),
    path(HOUSE + "memories/<slug:memory>/", MemoryView.as_view()),
    path(HOUSE + "memories/<slug:memory>/successor/", SuccessorView.as_view()),
    path(HOUSE + "bindings/", BindingsView.as_view()),
    path(HOUSE + "bindings/<slug:binding>/", BindingView.as_view()),
    path(HOUSE + "policies/", PoliciesView.as_view()),
    path(HOUSE + "policies/<slug:policy>/", PolicyView.as_view()),
    path(HOUSE + "members/<uuid:agent>/capabilities/", CapabilitiesView.as_view()),
]
