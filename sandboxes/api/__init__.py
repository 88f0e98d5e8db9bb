"""The API of sandboxes and of the environments they are made from."""

from django.urls import path

from sandboxes.api.environments import DefaultView, EnvironmentsView, EnvironmentView
from sandboxes.api.machines import SandboxesView, SandboxView

urlpatterns = [
    path("houses/<slug:house>/environments/", EnvironmentsView.as_view()),
    path("houses/<slug:house>/environments/<slug:environment>/", EnvironmentView.as_view()),
    path("houses/<slug:house>/environments/<slug:environment>/default/", DefaultView.as_view()),
    path("houses/<slug:house>/sandboxes/", SandboxesView.as_view()),
    path("houses/<slug:house>/sandboxes/<slug:sandbox>/", SandboxView.as_view()),
]
