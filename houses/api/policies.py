"""Activation policies: when a bot starts by itself. They are kept; nothing fires yet."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.agents import Agent
from houses.aims import shown
from houses.api.paging import PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.api.view import HouseView, Strict, answer
from houses.finding import found, member_named
from houses.models import ActivationPolicy
from houses.triggers import KNOWN, TRIGGERS


class PolicySerializer(serializers.Serializer[Any]):
    """A reason for a bot to start."""

    id = serializers.CharField()
    agent = serializers.UUIDField(source="agent_id")
    name = serializers.CharField()
    trigger = serializers.CharField()
    config = serializers.DictField(help_text="Without ids of what you may not read.")
    resources = serializers.SerializerMethodField()
    tools = serializers.ListField(
        child=serializers.CharField(), source="tool_ids", help_text="Those that you may read."
    )
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
        help_text=f"{', '.join(TRIGGERS)}, or another word.",
    )
    config = serializers.DictField(
        default=dict,
        help_text=" ".join(f"{name}: {{{', '.join(known.names)}}}." for name, known in KNOWN.items()),
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
        told = page(rows, PolicySerializer, query, by="created_at")
        _show(told.data["results"], self.agent)
        return told

    @operation("create_policy", "records", takes=NewPolicySerializer, gives=PolicySerializer, status=201)
    def post(self, request: Request, house: str) -> Response:
        """Another reason for a bot to start; for whoever has x on the house."""
        given = self.sent(NewPolicySerializer)
        agent = member_named(given.pop("agent"))
        one = ActivationPolicy.objects.create_for(agent, by=self.agent, **given)
        return _told(one.pk, self.agent, 201)

    def reachable(self, told: Any) -> None:
        _one(self.agent, told["id"])


class PolicyView(HouseView):
    @operation("get_policy", "records", gives=PolicySerializer)
    def get(self, request: Request, house: str, policy: str) -> Response:
        """One policy."""
        return _told(policy, self.agent)

    @operation("change_policy", "records", takes=PolicyBodySerializer, gives=PolicySerializer)
    def put(self, request: Request, house: str, policy: str) -> Response:
        """The policy as it shall be from now on; for whoever has x on the house."""
        _one(self.agent, policy).change(by=self.agent, **self.sent(PolicyBodySerializer))
        return _told(policy, self.agent)

    @operation("switch_policy", "records", takes=SwitchSerializer, gives=PolicySerializer)
    def patch(self, request: Request, house: str, policy: str) -> Response:
        """Switch it on or off. A bot can switch its own off; the rest is for whoever has x on the house."""
        _one(self.agent, policy).switch(self.sent(SwitchSerializer)["enabled"], by=self.agent)
        return _told(policy, self.agent)

    @operation("remove_policy", "records")
    def delete(self, request: Request, house: str, policy: str) -> Response:
        """The bot does not start by it any more; for whoever has x on the house."""
        _one(self.agent, policy).remove(by=self.agent)
        return Response(status=204)


def _told(policy: str, agent: Agent, status: int = 200) -> Response:
    told = answer(PolicySerializer, _one(agent, policy), status)
    _show([told.data], agent)
    return told


def _show(told: list[dict[str, Any]], agent: Agent) -> None:
    """Whoever may not read what a policy names is not told of it."""
    for one, (config, tools) in zip(
        told, shown([(one["trigger"], one["config"], one["tools"]) for one in told], agent), strict=True
    ):
        one |= {"config": config, "tools": tools}


def _one(agent: Agent, policy: str) -> ActivationPolicy:
    return found(ActivationPolicy.objects.shown_to(agent), pk=policy)
