"""Grants: what was given to whom, on what; who may what there; and the question whether somebody may."""

from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.agents import Agent
from houses.api.houses import AgentSerializer
from houses.api.paging import PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.api.view import HouseView, Strict, answer
from houses.explaining import explain, lines
from houses.finding import found
from houses.giving import give, withdraw
from houses.grants import Grant, on_any_of
from houses.places import Member
from houses.rights import may
from houses.scope_finding import WORDS, anywhere, require_insight, scope_of, within_reach
from houses.scopes import ALL, KINDS, NONE, Scope, as_bits

BITS = ("r", "w", "x", "rw", "rx", "wx", "rwx", NONE)
NOBODY = "Nobody of that id is in this house."


class GrantSerializer(serializers.Serializer[Any]):
    """What somebody was given on one scope, whatever holds above it."""

    agent = AgentSerializer(source="user")
    kind = serializers.ChoiceField(WORDS, source="word")
    scope = serializers.CharField(source="object_pk", help_text="The id of the house, thread, tool or resource.")
    bits = serializers.SerializerMethodField()
    granted_by = AgentSerializer(allow_null=True)
    granted_at = serializers.DateTimeField(source="given_at")

    def get_bits(self, grant: Any) -> str:
        return grant.given if grant.given == NONE else as_bits(grant.given)


class GrantQuery(PageQuery):
    """Which grants."""

    agent = serializers.UUIDField(required=False)
    kind = serializers.ChoiceField(WORDS, required=False)
    scope = serializers.CharField(required=False, help_text="An id.")


class GrantPageSerializer(PageSerializer):
    """Some grants."""

    results = GrantSerializer(many=True)


class BitsSerializer(Strict):
    """Exactly what somebody may from now on, here and below."""

    bits = serializers.ChoiceField(BITS, help_text="Read, write, execute; or nothing, whatever holds above.")


class LineSerializer(serializers.Serializer[Any]):
    """What somebody may on a scope, and why."""

    agent = AgentSerializer()
    bits = serializers.CharField(allow_blank=True)
    explicit = serializers.CharField(allow_blank=True, help_text="What was granted on this very scope, if anything.")
    origin = serializers.CharField(help_text="Where that comes from, who granted it, and when.")


class LinePageSerializer(PageSerializer):
    """Some members, and what they may."""

    results = LineSerializer(many=True)


class MayQuery(Strict):
    """May that agent do this there?"""

    agent = serializers.UUIDField(required=False, help_text="Without it: you, with what you came in by.")
    bit = serializers.ChoiceField(tuple(ALL))
    scope = serializers.CharField(required=False, help_text="An id of anything here; without it, the house.")


class MaySerializer(serializers.Serializer[Any]):
    """The answer."""

    may = serializers.BooleanField()
    sentence = serializers.CharField()


class GrantsView(HouseView):
    @operation("list_grants", "grants", query=GrantQuery, gives=GrantPageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """Everything that was granted on what you may read, newest first."""
        query = self.asked(GrantQuery)
        kinds = [kind for kind in KINDS.values() if query.get("kind") in (None, kind.word)]
        read = on_any_of(within_reach(kind, self.agent) for kind in kinds)
        rows = Grant.objects.each().filter(read)
        if "agent" in query:
            rows = rows.filter(user=query["agent"])
        if "scope" in query:
            rows = rows.filter(object_pk=query["scope"])
        return page(rows, GrantSerializer, query, by="granted_at")


class GrantView(HouseView):
    """What was granted to one agent on one scope. Whoever manages the scope need not read the house."""

    needs = None

    @operation("get_grant", "grants", gives=GrantSerializer)
    def get(self, request: Request, house: str, kind: str, scope: str, agent: UUID) -> Response:
        """What was granted to somebody right there."""
        where = self._where()
        if agent != self.agent.pk:
            require_insight(self.agent, where)
        return answer(GrantSerializer, found(Grant.objects.each(), user=agent, object_pk=where.pk))

    @operation("grant", "grants", takes=BitsSerializer, gives=GrantSerializer)
    def put(self, request: Request, house: str, kind: str, scope: str, agent: UUID) -> Response:
        """Let somebody do exactly this there and below, whatever holds above."""
        where, bits = self._where(), self.sent(BitsSerializer)["bits"]
        give(member_of(agent, self.agent, where), where, bits, by=self.agent)
        return answer(GrantSerializer, Grant.objects.each().get(user=agent, object_pk=where.pk))

    @operation("withdraw_grant", "grants")
    def delete(self, request: Request, house: str, kind: str, scope: str, agent: UUID) -> Response:
        """Let what holds above hold there again."""
        where = self._where()
        withdraw(member_of(agent, self.agent, where), where, by=self.agent)
        return Response(status=204)

    def _where(self) -> Scope:
        return scope_of(self.kwargs["kind"], self.kwargs["scope"], by=self.agent)


class RightsView(HouseView):
    needs = None

    @operation("list_rights", "grants", query=PageQuery, gives=LinePageSerializer)
    def get(self, request: Request, house: str, kind: str, scope: str) -> Response:
        """What everybody in the house may on one scope, and why."""
        where = scope_of(kind, scope, by=self.agent)
        require_insight(self.agent, where)
        everybody = Agent.objects.filter(pk__in=Member.objects.values("agent_id"))
        told = page(everybody, AgentSerializer, self.asked(PageQuery), by="created_at")
        agents = everybody.in_bulk([one["id"] for one in told.data["results"]])
        shown = lines(where, [agents[UUID(one["id"])] for one in told.data["results"]], to=self.agent)
        return Response({"results": [LineSerializer(line).data for line in shown], "next": told.data["next"]})


class MayView(HouseView):
    needs = None

    @operation("may", "grants", query=MayQuery, gives=MaySerializer)
    def get(self, request: Request, house: str) -> Response:
        """Whether somebody may do something, in one sentence that says where that comes from."""
        query = self.asked(MayQuery)
        where = anywhere(query.get("scope") or self.house.pk, by=self.agent)
        who = member_of(query.get("agent", self.agent.pk), self.agent, where)
        sentence = explain(who, query["bit"], where, to=self.agent)
        return Response({"may": may(who, query["bit"], where), "sentence": sentence})


def member_of(agent_id: UUID, by: Agent, where: Scope) -> Agent:
    """Somebody of the house; for others than oneself one has to be shown who is in it."""
    if agent_id == by.pk:
        return by  # not loaded anew: it knows what its token lets through
    require_insight(by, where)
    return found(Member.objects.select_related("agent"), NOBODY, agent_id=agent_id).agent
