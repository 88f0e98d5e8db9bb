"""Activation policies: when a bot starts by itself. They are kept; nothing fires yet."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.agents import Agent
from houses.api.paging import PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.api.view import HouseView, Strict, answer
from houses.finding import found
from houses.models import ActivationPolicy


class PolicySerializer(serializers.Serializer[Any]):
    """A reason for a bot to start."""

    id = serializers.CharField()
    agent = serializers.UUIDField(source="agent_id")
    name = serializers.CharField()
    trigger = serializers.CharField()
    config = serializers.DictField()
    resources = serializers.SerializerMethodField()
    tools = serializers.ListField(child=serializers.CharField(), source="tool_ids")
    enabled = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_resources(self, policy: Any) -> list[str]:
        """Those that you may read."""
        return [one.resource_id for one in policy.seen]


class PolicyBodySerializer(Strict):
    """A policy as it shall be."""

    name = serializers.CharField(max_length=200, default="", allow_blank=True)
    trigger = serializers.CharField(
        max_length=60,
        help_text="cron, interval, webhook, stream-event, github-event, mention, ambient, or another word.",
    )
    config = serializers.DictField(
        default=dict,
        help_text=(
            "cron: {expression, zone}. interval: {ms}. webhook: {path}. stream-event: {stream_id, filter}. "
            "github-event: {resource, events}. mention: {scope_ids}. ambient: {scope_ids, delay_ms}."
        ),
    )
    resources = serializers.ListField(child=serializers.CharField(max_length=60), default=list, max_length=500)
    tools = serializers.ListField(child=serializers.CharField(max_length=60), default=list, max_length=500)
    enabled = serializers.BooleanField(default=True)


class NewPolicySerializer(PolicyBodySerializer):
    """A policy to be made, for a bot of the house."""

    agent = serializers.UUIDField()


class SwitchSerializer(Strict):
    """On or off."""

    enabled = serializers.BooleanField()


class PolicyQuery(PageQuery):
    """Which policies."""

    agent = serializers.UUIDField(required=False)
    trigger = serializers.CharField(required=False, max_length=60)
    enabled = serializers.BooleanField(required=False, allow_null=True, default=None)


class PolicyPageSerializer(PageSerializer):
    """Some policies."""

    results = PolicySerializer(many=True)


class PoliciesView(HouseView):
    @operation("list_policies", "records", query=PolicyQuery, gives=PolicyPageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """The policies of the house's bots, newest first. They are kept; nothing fires yet."""
        query = self.asked(PolicyQuery)
        names = {"agent": "agent_id", "trigger": "trigger", "enabled": "enabled"}
        which = {column: query[name] for name, column in names.items() if query.get(name) is not None}
        rows = ActivationPolicy.objects.shown_to(self.agent).filter(**which)
        return page(rows, PolicySerializer, query, by="created_at")

    @operation("create_policy", "records", takes=NewPolicySerializer, gives=PolicySerializer, status=201)
    def post(self, request: Request, house: str) -> Response:
        """Another reason for a bot to start; for whoever has x on the house."""
        given = self.sent(NewPolicySerializer)
        # Whoever is not in the house is not there, whether they exist or not.
        agent = found(Agent.objects.filter(memberships__house_id=self.house.pk), pk=given.pop("agent"))
        one = ActivationPolicy.objects.create_for(agent, by=self.agent, **given)
        return answer(PolicySerializer, _one(self.agent, one.pk), 201)


class PolicyView(HouseView):
    @operation("get_policy", "records", gives=PolicySerializer)
    def get(self, request: Request, house: str, policy: str) -> Response:
        """One policy."""
        return answer(PolicySerializer, _one(self.agent, policy))

    @operation("change_policy", "records", takes=PolicyBodySerializer, gives=PolicySerializer)
    def put(self, request: Request, house: str, policy: str) -> Response:
        """The policy as it shall be from now on; for whoever has x on the house."""
        _one(self.agent, policy).change(by=self.agent, **self.sent(PolicyBodySerializer))
        return answer(PolicySerializer, _one(self.agent, policy))

    @operation("switch_policy", "records", takes=SwitchSerializer, gives=PolicySerializer)
    def patch(self, request: Request, house: str, policy: str) -> Response:
        """Switch it on or off. A bot can switch its own off; the rest is for whoever has x on the house."""
        one = _one(self.agent, policy)
        one.switch(self.sent(SwitchSerializer)["enabled"], by=self.agent)
        return answer(PolicySerializer, one)

    @operation("remove_policy", "records")
    def delete(self, request: Request, house: str, policy: str) -> Response:
        """The bot does not start by it any more; for whoever has x on the house."""
        _one(self.agent, policy).remove(by=self.agent)
        return Response(status=204)


def _one(agent: Agent, policy: str) -> ActivationPolicy:
    return found(ActivationPolicy.objects.shown_to(agent), pk=policy)
