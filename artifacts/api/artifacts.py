"""Artifacts: what was kept, to be found again."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from artifacts.models import Artifact
from artifacts.records import FILE
from houses.agents import Agent
from houses.api.paging import PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.api.view import HouseView, Strict, answer
from houses.finding import found
from houses.refusals import NotFound
from houses.rights import unseen


class NewArtifactSerializer(Strict):
    """Something to keep: a version of a file, a commit, or what is elsewhere."""

    kind = serializers.CharField(
        max_length=60, default=FILE, help_text="message, file, url, commit, screenshot, log-ref, or another word."
    )
    label = serializers.CharField(  # type: ignore[assignment]  # a field of ours, not REST framework's attribute
        max_length=200, default="", allow_blank=True
    )
    external_id = serializers.CharField(
        max_length=1000, default="", allow_blank=True, help_text="Of a message, a pull request, …"
    )
    mime_type = serializers.CharField(max_length=400, default="", allow_blank=True)
    byte_ref = serializers.CharField(
        max_length=1000, default="", allow_blank=True, help_text="A place in a store of bytes, or in a stream."
    )
    repository = serializers.CharField(max_length=60, default="", allow_blank=True)
    path = serializers.CharField(max_length=1024, default="", allow_blank=True, trim_whitespace=False)
    commit = serializers.CharField(max_length=40, default="", allow_blank=True, help_text="Of the repository.")
    source_thread = serializers.CharField(
        source="source_thread_id", max_length=60, default="", allow_blank=True, help_text="Where it came up."
    )
    source_run = serializers.CharField(max_length=60, default="", allow_blank=True, help_text="The command it is from.")
    resource = serializers.CharField(max_length=60, default="", allow_blank=True, help_text="What it is about.")
    metadata = serializers.DictField(default=dict, help_text="Whatever else is to be known; no secrets.")


class LabelSerializer(Strict):
    """Another name; an empty one lets it go by what it is."""

    label = serializers.CharField(max_length=200, allow_blank=True)  # type: ignore[assignment]  # as above


class ArtifactSerializer(serializers.Serializer[Any]):
    """Something that was kept."""

    id = serializers.CharField()
    kind = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # as above
    external_id = serializers.CharField()
    mime_type = serializers.CharField()
    byte_ref = serializers.CharField()
    repository = serializers.CharField(source="repository_id", allow_null=True)
    path = serializers.CharField()
    commit = serializers.CharField()
    source_thread = serializers.CharField(source="source_thread_id", help_text="Empty for one that you may not read.")
    source_run = serializers.CharField()
    resource = serializers.CharField(
        source="seen_resource", allow_null=True, help_text="What it is about, if you may read that."
    )
    metadata = serializers.DictField()
    made_by = serializers.UUIDField(source="made_by_id", allow_null=True)
    made_at = serializers.DateTimeField()


class ArtifactQuery(PageQuery):
    """Which artifacts."""

    kind = serializers.CharField(required=False, max_length=60)
    repository = serializers.CharField(required=False, max_length=60)
    path = serializers.CharField(required=False, max_length=1024)
    resource = serializers.CharField(required=False, max_length=60)


class ArtifactPageSerializer(PageSerializer):
    """Some artifacts."""

    results = ArtifactSerializer(many=True)


class ArtifactsView(HouseView):
    @operation("list_artifacts", "artifacts", query=ArtifactQuery, gives=ArtifactPageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """What the house kept, newest first."""
        query = self.asked(ArtifactQuery)
        names = {"kind": "kind", "repository": "repository_id", "path": "path", "resource": "seen_resource"}
        which = {column: query[name] for name, column in names.items() if name in query}
        told = page(Artifact.objects.shown_to(self.agent).filter(**which), ArtifactSerializer, query, by="made_at")
        _hide_unseen_threads(told.data["results"], self.agent)
        return told

    @operation("keep_artifact", "artifacts", takes=NewArtifactSerializer, gives=ArtifactSerializer, status=201)
    def post(self, request: Request, house: str) -> Response:
        """Keep a version of a file, a commit, or a pointer to something elsewhere; that takes w on the house."""
        kept = Artifact.objects.keep(by=self.agent, **self.sent(NewArtifactSerializer))
        return _told(kept.pk, self.agent, 201)

    def reachable(self, told: Any) -> None:
        found(Artifact.objects.shown_to(self.agent), pk=told["id"])
        if unseen("thread", {told["source_thread"]} - {""}, self.agent):
            raise NotFound


class ArtifactView(HouseView):
    @operation("get_artifact", "artifacts", gives=ArtifactSerializer)
    def get(self, request: Request, house: str, artifact: str) -> Response:
        """One artifact."""
        return _told(artifact, self.agent)

    @operation("relabel_artifact", "artifacts", takes=LabelSerializer, gives=ArtifactSerializer)
    def patch(self, request: Request, house: str, artifact: str) -> Response:
        """Call it something else."""
        found(Artifact.objects.all(), pk=artifact).relabel(self.sent(LabelSerializer)["label"], by=self.agent)
        return _told(artifact, self.agent)

    @operation("forget_artifact", "artifacts")
    def delete(self, request: Request, house: str, artifact: str) -> Response:
        """Keep it no longer; what it points at stays where it is."""
        found(Artifact.objects.all(), pk=artifact).forget(by=self.agent)
        return Response(status=204)


def _told(artifact: str, agent: Agent, status: int = 200) -> Response:
    told = answer(ArtifactSerializer, found(Artifact.objects.shown_to(agent), pk=artifact), status)
    _hide_unseen_threads([told.data], agent)
    return told


def _hide_unseen_threads(told: list[dict[str, Any]], agent: Agent) -> None:
    """Whoever may not read a thread is not told that something came out of it."""
    hidden = unseen("thread", {one["source_thread"] for one in told if one["source_thread"]}, agent)
    for one in told:
        if one["source_thread"] in hidden:
            one |= {"source_thread": "", "source_run": ""}
