"""The API of houses: who is in them, what lets bots in and how they think, which secrets and records they keep."""

from django.urls import path

from houses.api.bindings import BindingsView, BindingView
from houses.api.bots import BotsView, BotView, BudgetsView, BudgetView, HouseBudgetView
from houses.api.capabilities import CapabilitiesView
from houses.api.grants import GrantsView, GrantView, MayView, RightsView
from houses.api.houses import HousesView, OneHouseView
from houses.api.invitations import InvitationsView, InvitationView
from houses.api.members import MembersView, MemberView
from houses.api.memories import MemoriesView, MemoryView, SuccessorView
from houses.api.mutations import MutationsView
from houses.api.policies import PoliciesView, PolicyView
from houses.api.resources import ResourcesView, ResourceView
from houses.api.secrets import SecretsView, SecretView
from houses.api.tokens import TokenRotationView, TokensView, TokenView
from houses.api.tools import ToolCheckView, ToolsView, ToolView

urlpatterns = [
    path("houses/", HousesView.as_view()),
    path("houses/<slug:house>/", OneHouseView.as_view()),
    path("houses/<slug:house>/members/", MembersView.as_view()),
    path("houses/<slug:house>/members/<uuid:agent>/", MemberView.as_view()),
    path("houses/<slug:house>/invitations/", InvitationsView.as_view()),
    path("houses/<slug:house>/invitations/<slug:invitation>/", InvitationView.as_view()),
    path("houses/<slug:house>/tokens/", TokensView.as_view()),
    path("houses/<slug:house>/tokens/<slug:token>/", TokenView.as_view()),
    path("houses/<slug:house>/tokens/<slug:token>/rotation/", TokenRotationView.as_view()),
    path("houses/<slug:house>/mutations/", MutationsView.as_view()),
    path("houses/<slug:house>/secrets/", SecretsView.as_view()),
    path("houses/<slug:house>/secrets/<slug:name>/", SecretView.as_view()),
    path("houses/<slug:house>/grants/", GrantsView.as_view()),
    path("houses/<slug:house>/grants/<slug:kind>/<slug:scope>/<uuid:agent>/", GrantView.as_view()),
    path("houses/<slug:house>/rights/<slug:kind>/<slug:scope>/", RightsView.as_view()),
    path("houses/<slug:house>/may/", MayView.as_view()),
    path("houses/<slug:house>/resources/", ResourcesView.as_view()),
    path("houses/<slug:house>/resources/<slug:resource>/", ResourceView.as_view()),
    path("houses/<slug:house>/tools/", ToolsView.as_view()),
    path("houses/<slug:house>/tools/<slug:tool>/", ToolView.as_view()),
    path("houses/<slug:house>/tools/<slug:tool>/checks/", ToolCheckView.as_view()),
    path("houses/<slug:house>/memories/", MemoriesView.as_view()),
    path("houses/<slug:house>/memories/<slug:memory>/", MemoryView.as_view()),
    path("houses/<slug:house>/memories/<slug:memory>/successor/", SuccessorView.as_view()),
    path("houses/<slug:house>/bindings/", BindingsView.as_view()),
    path("houses/<slug:house>/bindings/<slug:binding>/", BindingView.as_view()),
    path("houses/<slug:house>/bots/", BotsView.as_view()),
    path("houses/<slug:house>/bots/<uuid:agent>/", BotView.as_view()),
    path("houses/<slug:house>/budgets/", BudgetsView.as_view()),
    path("houses/<slug:house>/budgets/house/", HouseBudgetView.as_view()),
    path("houses/<slug:house>/budgets/<uuid:agent>/", BudgetView.as_view()),
    path("houses/<slug:house>/policies/", PoliciesView.as_view()),
    path("houses/<slug:house>/policies/<slug:policy>/", PolicyView.as_view()),
    path("houses/<slug:house>/members/<uuid:agent>/capabilities/", CapabilitiesView.as_view()),
]
