"""The API of houses: who is in them, what lets bots in, and which secrets they keep."""

from django.urls import path

from houses.api.houses import HousesView, OneHouseView
from houses.api.members import MembersView, MemberView
from houses.api.secrets import SecretsView, SecretView
from houses.api.tokens import TokensView, TokenView

urlpatterns = [
    path("houses/", HousesView.as_view()),
    path("houses/<slug:house>/", OneHouseView.as_view()),
    path("houses/<slug:house>/members/", MembersView.as_view()),
    path("houses/<slug:house>/members/<uuid:agent>/", MemberView.as_view()),
    path("houses/<slug:house>/tokens/", TokensView.as_view()),
    path("houses/<slug:house>/tokens/<slug:token>/", TokenView.as_view()),
    path("houses/<slug:house>/secrets/", SecretsView.as_view()),
    path("houses/<slug:house>/secrets/<slug:name>/", SecretView.as_view()),
]
