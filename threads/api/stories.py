"""Why a file is what it is, and what went stale: asked here, where the environments of the house are known too."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from artifacts.api.repositories import RepositoryView, shown
from artifacts.api.stories import DerivationSerializer, InputSerializer, hide_unseen_threads
from artifacts.bare import Commit
from artifacts.derivations import EDITED, FRESH, MISSING, STALE
from artifacts.graph import Reason
from artifacts.models import Derivation
from artifacts.story import SOURCE, Cause, author_of, members
from houses.api.paging import PageQuery, PageSerializer, page_of
from houses.api.schema import operation
from houses.api.view import Strict
from threads.makes import environment_digests

STATES = (FRESH, STALE, EDITED, MISSING, SOURCE)


class PathQuery(Strict):
    """Which file."""

    path = serializers.CharField()


class DrawnSerializer(serializers.Serializer[Any]):
    """A file of a lineage."""

    path = serializers.CharField()
    oid = serializers.CharField(allow_null=True)
    state = serializers.ChoiceField(STATES)
    command = serializers.CharField(allow_blank=True)


class LineageSerializer(serializers.Serializer[Any]):
    """What a file was made from and what was made from it, all the way."""

    nodes = DrawnSerializer(many=True)
    edges = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField(), min_length=2, max_length=2),
        help_text="Pairs: an input, and what was made of it.",
    )
    is_cut = serializers.BooleanField(help_text="Whether there was more than is drawn.")


class ReasonSerializer(serializers.Serializer[Any]):
    """Why a file is not fresh."""

    kind = serializers.CharField()
    path = serializers.CharField(help_text="What it happened to; for an environment, its id.")
    old = serializers.CharField(allow_null=True)
    new = serializers.CharField(allow_null=True)
    sentence = serializers.CharField()


class CauseSerializer(serializers.Serializer[Any]):
    """What happened, to which made file, and who is behind it where there is somebody."""

    target = serializers.CharField()
    reason = ReasonSerializer()
    commit = serializers.CharField(allow_null=True)
    author_id = serializers.UUIDField(allow_null=True)
    author = serializers.CharField(allow_blank=True)
    at = serializers.DateTimeField(allow_null=True)


class WrittenBySerializer(serializers.Serializer[Any]):
    """The commit that put the file where it is."""

    commit = serializers.CharField()
    message = serializers.CharField()
    author_id = serializers.UUIDField(allow_null=True)
    author = serializers.CharField()


class WhySerializer(serializers.Serializer[Any]):
    """Where a file comes from, why it is as it is, and what hangs on it."""

    path = serializers.CharField()
    state = serializers.ChoiceField(STATES)
    derivation = DerivationSerializer(allow_null=True)
    inputs = InputSerializer(many=True)
    reasons = ReasonSerializer(many=True)
    causes = CauseSerializer(many=True)
    downstream = serializers.ListField(child=serializers.CharField())
    written = WrittenBySerializer(allow_null=True)


class StaleSerializer(serializers.Serializer[Any]):
    """A made file that is not fresh."""

    path = serializers.CharField()
    state = serializers.ChoiceField([STALE, EDITED, MISSING])
    reasons = ReasonSerializer(many=True)


class StalePageSerializer(PageSerializer):
    """Some of what is not fresh."""

    results = StaleSerializer(many=True)


class WhyView(RepositoryView):
    @operation("why", "making", query=PathQuery, gives=WhySerializer)
    def get(self, request: Request, house: str, repository: str) -> Response:
        """Why a file is as it is: what it was made from, what changed since, who did that, and what is downstream."""
        why = self.repository.why(self.asked(PathQuery)["path"], environment_digests())
        return Response(
            {
                "path": why.path,
                "state": why.state,
                "derivation": self._told(why.derivation) if why.derivation else None,
                "inputs": [InputSerializer(one).data for one in why.inputs],
                "reasons": [_reason(one) for one in why.reasons],
                "causes": [_cause(one) for one in why.causes],
                "downstream": [shown(path) for path in why.downstream],
                "written": _written(why.written) if why.written else None,
            }
        )

    def _told(self, derivation: Derivation) -> dict[str, Any]:
        told = dict(DerivationSerializer(derivation).data)
        hide_unseen_threads([told], self.agent)
        return told


class StaleView(RepositoryView):
    @operation("list_stale", "making", query=PageQuery, gives=StalePageSerializer)
    def get(self, request: Request, house: str, repository: str) -> Response:
        """Every made file that is not fresh, by path, with the reasons."""
        query, stale = self.asked(PageQuery), self.repository.stale(environment_digests())

        def told(path: str) -> dict[str, Any]:
            reasons = [_reason(reason) for reason in stale[path].reasons]
            return {"path": shown(path), "state": stale[path].state, "reasons": reasons}

        return page_of(stale, query, key=_ordered, told=told)


class LineageView(RepositoryView):
    @operation("get_lineage", "making", query=PathQuery, gives=LineageSerializer)
    def get(self, request: Request, house: str, repository: str) -> Response:
        """The files around a file, and the edges between them."""
        lineage = self.repository.lineage(self.asked(PathQuery)["path"], environment_digests())
        nodes = [{"path": shown(n.path), "oid": n.oid, "state": n.state, "command": n.command} for n in lineage.nodes]
        edges = [[shown(source), shown(made)] for source, made in lineage.edges]
        return Response({"nodes": nodes, "edges": edges, "is_cut": lineage.is_cut})


def _ordered(path: str) -> str:
    """A path as a cursor can carry it, whatever bytes are in it."""
    return path.encode(errors="surrogateescape").hex()


def _reason(reason: Reason) -> dict[str, Any]:
    sentence = shown(str(reason))
    return {"kind": reason.kind, "path": shown(reason.path), "old": reason.old, "new": reason.new, "sentence": sentence}


def _cause(cause: Cause) -> dict[str, Any]:
    return {
        "target": shown(cause.target),
        "reason": _reason(cause.reason),
        "commit": cause.commit,
        "author_id": cause.author_id,
        "author": shown(cause.author),
        "at": cause.at,
    }


def _written(commit: Commit) -> dict[str, Any]:
    who = author_of(commit, members())
    return {"commit": commit.oid, "message": commit.message, "author_id": who, "author": shown(commit.author.name)}
