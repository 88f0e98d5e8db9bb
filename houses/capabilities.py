"""What an agent can do in the house we are inside of: its tools, what it operates on, when it starts, what it gets.

Each of these asks a constant number of queries, whatever the house has. They are about the agent, not about who asks;
`shown` leaves out what somebody else may not see of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import prefetch_related_objects

from houses.agents import Agent
from houses.aims import shown as aims_shown
from houses.bindings import SecretBinding
from houses.policies import ActivationPolicy
from houses.resources import Resource
from houses.rights import permitted
from houses.scopes import X
from houses.secrets import Secret
from houses.tools import Tool
from houses.triggers import in_words


@dataclass(frozen=True)
class Capabilities:
    """What an agent can call, and what it can operate on. It can do the one to the other."""

    tools: tuple[Tool, ...]
    resources: tuple[Resource, ...]


@dataclass(frozen=True)
class Resolved:
    """A policy that holds, with as much of its aim as its agent still has x on."""

    policy: ActivationPolicy
    tools: tuple[Tool, ...]
    resources: tuple[Resource, ...]


@dataclass(frozen=True)
class Credential:
    """A secret that an agent gets, the binding that says so, and which of the resources it is for. Never its value."""

    binding: SecretBinding
    secret: Secret
    resources: tuple[Resource, ...]


def resolve_capabilities(agent: Agent) -> Capabilities:
    """The tools and the resources that the agent has x on."""
    tools, resources = permitted(Tool.objects.all(), agent, X), permitted(Resource.objects.all(), agent, X)
    return Capabilities(tuple(tools.order_by("name", "pk")), tuple(resources.order_by("name", "pk")))


def resolve_policies(agent: Agent) -> list[Resolved]:
    """The policies of the agent that are switched on, with the tools and resources that it still may use."""
    policies = list(ActivationPolicy.objects.of(agent).enabled().order_by("created_at", "pk"))
    if not policies:
        return []
    tools, resources = _usable(agent, policies)
    return [
        Resolved(
            policy,
            tuple(tools[pk] for pk in policy.tool_ids if pk in tools),
            tuple(resources[pk] for pk in policy.resource_ids if pk in resources),
        )
        for policy in policies
    ]


def _usable(agent: Agent, policies: list[ActivationPolicy]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tools and resources that policies name, of those that the agent has x on, by id."""
    prefetch_related_objects(policies, "policy_resources")
    tool_ids = {pk for policy in policies for pk in policy.tool_ids}
    resource_ids = {pk for policy in policies for pk in policy.resource_ids}
    tools = permitted(Tool.objects.filter(pk__in=tool_ids), agent, X)
    resources = permitted(Resource.objects.filter(pk__in=resource_ids), agent, X)
    return {one.pk: one for one in tools}, {one.pk: one for one in resources}


def resolve_secrets(agent: Agent, resources: Iterable[Resource]) -> list[Credential]:
    """The credentials that bindings give this agent for these resources, of those that it has x on.

    A value is opened by whoever dispatches, for that moment, and each opening is recorded.
    """
    wanted = [one.pk for one in resources]
    operated = {one.pk: one for one in permitted(Resource.objects.filter(pk__in=wanted), agent, X)}
    if not operated:
        return []
    bindings = (
        SecretBinding.objects.filter(bound_agents__agent=agent, bound_resources__resource__in=list(operated))
        .distinct()
        .select_related("secret")
        .prefetch_related("bound_resources")
        .order_by("name", "pk")
    )
    return [
        Credential(one, one.secret, tuple(operated[pk] for pk in one.resource_ids if pk in operated))
        for one in bindings
    ]


def shown(agent: Agent, *, to: Agent) -> dict[str, Any]:
    """What an agent can do, as far as somebody else may see the tools and resources of it."""
    can = resolve_capabilities(agent)
    tool_ids = set(Tool.objects.seen_by(to).values_list("pk", flat=True))
    resource_ids = set(Resource.objects.seen_by(to).values_list("pk", flat=True))
    policies = resolve_policies(agent)
    aims = aims_shown([(one.policy.trigger, one.policy.config, one.policy.tool_ids) for one in policies], to)
    return {
        "tools": [one for one in can.tools if one.pk in tool_ids],
        "resources": [one for one in can.resources if one.pk in resource_ids],
        "policies": [
            {
                "policy": one.policy.pk,
                "name": one.policy.name,
                "trigger": one.policy.trigger,
                "when": in_words(one.policy.trigger, config),
                "tools": [tool.pk for tool in one.tools if tool.pk in tool_ids],
                "resources": [resource.pk for resource in one.resources if resource.pk in resource_ids],
            }
            for one, (config, _) in zip(policies, aims, strict=True)
        ],
        "secrets": [
            {
                "binding": one.binding.name,
                "secret": one.secret.name,
                "resources": [resource.pk for resource in one.resources if resource.pk in resource_ids],
            }
            for one in resolve_secrets(agent, can.resources)
        ],
    }
