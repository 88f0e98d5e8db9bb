"""How far a secret reaches: what hands it out, and which runs received it. Never a value."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.api.houses import AgentSerializer
from houses.api.paging import PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.api.view import HouseView, answer
from threads.secret_uses import Received, Uses


class InjectingSerializer(serializers.Serializer[Any]):
    """An environment that hands a secret to its commands."""

    id = serializers.CharField()
    name = serializers.CharField()
    is_required = serializers.BooleanField(help_text="Its commands do not start without the secret.")


class BoundSerializer(serializers.Serializer[Any]):
    """A resource that a secret is for."""

    id = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.CharField()


class BindingUseSerializer(serializers.Serializer[Any]):
    """A binding: the resources a secret is for, and the agents who get it."""

    id = serializers.CharField()
    name = serializers.CharField()
    resources = BoundSerializer(many=True)
    agents = AgentSerializer(many=True)


class ReceivedSerializer(serializers.Serializer[Any]):
    """A run that received a secret."""

    id = serializers.CharField(source="delivery.pk")
    version = serializers.IntegerField(source="delivery.version")
    agent = AgentSerializer(source="delivery.agent", allow_null=True)
    delivered_at = serializers.DateTimeField(source="delivery.delivered_at")
    environment_id = serializers.CharField(source="delivery.environment_id")
    redactions = serializers.IntegerField(source="delivery.redactions")
    thread_id = serializers.SerializerMethodField(help_text="Null for whoever may not read that thread.")
    command_id = serializers.SerializerMethodField(help_text="Null for whoever may not read its thread.")
    is_going = serializers.BooleanField(help_text="It runs right now.")
    is_old = serializers.BooleanField(help_text="The value it got has been replaced or forgotten since.")

    def get_thread_id(self, one: Received) -> str | None:
        return one.thread.pk if one.thread else None

    def get_command_id(self, one: Received) -> str | None:
        return one.delivery.command_id if one.thread else None


class UsesSerializer(serializers.Serializer[Any]):
    """How far a secret reaches."""

    name = serializers.CharField()
    version = serializers.IntegerField(allow_null=True, help_text="Null once it was forgotten.")
    environments = InjectingSerializer(many=True)
    bots = AgentSerializer(many=True, help_text="Those whose model is asked with it as its key.")
    bindings = BindingUseSerializer(many=True)
    deliveries = serializers.IntegerField(help_text="Runs that received it.")
    redactions = serializers.IntegerField(help_text="How often it was hidden in their output.")
    going = ReceivedSerializer(many=True)


class DeliveryPageSerializer(PageSerializer):
    """Some runs that received a secret."""

    results = ReceivedSerializer(many=True)


class AsItIs(serializers.BaseSerializer[Any]):
    """The row itself, for what is told of many rows together."""

    def to_representation(self, instance: Any) -> Any:
        return instance


class SecretUsesView(HouseView):
    @operation("show_secret_uses", "houses", gives=UsesSerializer)
    def get(self, request: Request, house: str, name: str) -> Response:
        """What hands a secret out and to whom, how often it was hidden, and what runs with it now."""
        uses = Uses(name, by=self.agent)
        environments = [
            {"id": one.pk, "name": one.name, "is_required": one in uses.requiring} for one in uses.environments
        ]
        told = {
            "name": name,
            "version": uses.secret.version if uses.secret else None,
            "environments": environments,
            "bots": [one.agent for one in uses.bots],
            "bindings": [_told(one) for one in uses.bindings],
            "deliveries": uses.deliveries.count(),
            "redactions": uses.redactions,
            "going": uses.going,
        }
        return answer(UsesSerializer, told)


class SecretDeliveriesView(HouseView):
    @operation("list_secret_deliveries", "houses", query=PageQuery, gives=DeliveryPageSerializer)
    def get(self, request: Request, house: str, name: str) -> Response:
        """The runs that received a secret, newest first."""
        uses = Uses(name, by=self.agent)
        rows = uses.deliveries.select_related("agent").order_by()
        answered = page(rows, AsItIs, self.asked(PageQuery), by="delivered_at")
        received = uses.received(answered.data["results"])
        return Response({**answered.data, "results": ReceivedSerializer(received, many=True).data})


def _told(binding: Any) -> dict[str, Any]:
    return {
        "id": binding.pk,
        "name": binding.name,
        "resources": [one.resource for one in binding.seen],
        "agents": [one.agent for one in binding.bound_agents.all()],
    }
