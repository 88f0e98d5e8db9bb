"""The API of repositories: their files, and what was made of what."""

from django.urls import path

from artifacts.api.artifacts import ArtifactsView, ArtifactView
from artifacts.api.files import FileView
from artifacts.api.repositories import OneRepositoryView, RepositoriesView, TreeView
from artifacts.api.stories import DerivationsView

urlpatterns = [
    path("houses/<slug:house>/artifacts/", ArtifactsView.as_view()),
    path("houses/<slug:house>/artifacts/<slug:artifact>/", ArtifactView.as_view()),
    path("houses/<slug:house>/repositories/", RepositoriesView.as_view()),
    path("houses/<slug:house>/repositories/<slug:repository>/", OneRepositoryView.as_view()),
    path("houses/<slug:house>/repositories/<slug:repository>/tree/", TreeView.as_view()),
    path("houses/<slug:house>/repositories/<slug:repository>/files/<path:path>", FileView.as_view()),
    path("houses/<slug:house>/repositories/<slug:repository>/derivations/", DerivationsView.as_view()),
]
