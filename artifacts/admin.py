"""Repositories and what was made in them, for operators."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from artifacts.models import Artifact, Derivation, Input, Repository
from houses.operators import OPERATOR, HouseFilter, Looking


@admin.register(Repository)
class RepositoryAdmin(Looking):
    list_display = ("name", "house", "id", "branch", "created_at")
    list_filter = (HouseFilter,)
    list_select_related = ("house",)
    search_fields = ("name", "id", "house__name")
    ordering = ("house", "name")


@admin.register(Derivation)
class DerivationAdmin(Looking):
    list_display = ("path", "house", "repository", "state", "made_by_name", "made_at", "current")
    list_filter = (HouseFilter, "state", "current", "failed")
    list_select_related = ("house", "repository")
    search_fields = ("path", "command_id", "house__name")
    ordering = ("-made_at",)
    readonly_fields = ("made_from",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Derivation]:
        return super().get_queryset(request).select_related("made_by")

    @admin.display(description="made from")
    def made_from(self, derivation: Derivation) -> SafeString:
        inputs = Input.objects.using(OPERATOR).filter(derivation=derivation).order_by("path")
        return format_html_join("", "<div>{} {} ({})</div>", ((one.path, one.oid, one.how) for one in inputs))


@admin.register(Artifact)
class ArtifactAdmin(Looking):
    list_display = ("__str__", "house", "kind", "repository", "path", "made_by", "made_at")
    list_filter = (HouseFilter, "kind")
    list_select_related = ("house", "repository", "made_by")
    search_fields = ("label", "path", "external_id", "id", "house__name")
    ordering = ("-made_at",)
    actions = ("forget",)

    @admin.action(description="Keep no longer; what they point at stays where it is")
    def forget(self, request: HttpRequest, rows: QuerySet[Artifact]) -> None:
        self.act(request, rows, lambda artifact, by: artifact.forget(by=by), "no longer kept")
