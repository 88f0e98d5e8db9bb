"""The API of houses: who is in them, what lets bots in, and which secrets they keep."""

from django.urls import path

from houses.api import records
from houses.api.grants import GrantsView, GrantView, MayView, RightsView
from houses.api.houses import HousesView, OneHouseView
from houses.api.invitations import InvitationsView, InvitationView
from houses.api.members import MembersView, MemberView
from houses.api.mutations import MutationsView
from houses.api.secrets import SecretsView, SecretView
from houses.api.tokens import TokenRotationView, TokensView, TokenView

urlpatterns = [
    *records.urlpatterns,
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
]
