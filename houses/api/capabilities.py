"""What a member can do here: which tools on which resources, when it starts, and which credentials it gets."""

from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.api.resources import ResourceSerializer
from houses.api.schema import operation
from houses.api.tools import ToolSerializer
from houses.api.view import HouseView
from houses.capabilities import shown
from houses.finding import member_named


class AimSerializer(serializers.Serializer[Any]):
    """A policy that holds, with as much of its aim as the agent still may use."""

    policy = serializers.CharField()
    name = serializers.CharField()
    trigger = serializers.CharField()
    tools = serializers.ListField(child=serializers.CharField())
    resources = serializers.ListField(child=serializers.CharField())


class GetsSerializer(serializers.Serializer[Any]):
    """A credential by name, never by value."""

    binding = serializers.CharField()
    secret = serializers.CharField()
    resources = serializers.ListField(child=serializers.CharField())


class CapabilitiesSerializer(serializers.Serializer[Any]):
    """What a member can do, as far as you may see it."""

    tools = ToolSerializer(many=True, help_text="What it can call.")
    resources = ResourceSerializer(many=True, help_text="What it can operate on.")
    policies = AimSerializer(many=True, help_text="When it is to start by itself; nothing fires yet.")
    secrets = GetsSerializer(many=True, help_text="The credentials it gets for these resources.")


class CapabilitiesView(HouseView):
    @operation("get_capabilities", "records", gives=CapabilitiesSerializer)
    def get(self, request: Request, house: str, agent: UUID) -> Response:
        """What this member can do: the tools and the resources it has x on, of those that you may read."""
        return Response(CapabilitiesSerializer(shown(member_named(agent), to=self.agent)).data)
