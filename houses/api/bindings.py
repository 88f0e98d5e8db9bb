"""Secret bindings: which credential goes where, and to whom."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.agents import Agent
from houses.api.paging import PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.api.view import HouseView, Strict, answer
from houses.finding import found
from houses.models import BoundResource, Resource, SecretBinding


class NewBindingSerializer(Strict):
    """A binding as it shall be."""

    name = serializers.CharField(max_length=200)
    secret = serializers.CharField(max_length=100, help_text="The name of a secret of the house.")
    resources = serializers.ListField(
        child=serializers.CharField(max_length=60), default=list, max_length=500, help_text="Their ids."
    )
    agents = serializers.ListField(
        child=serializers.UUIDField(), default=list, max_length=500, help_text="Who gets it: members of the house."
    )


class BindingSerializer(serializers.Serializer[Any]):
    """A credential, what it is for, and who gets it."""

    id = serializers.CharField()
    name = serializers.CharField()
    secret = serializers.CharField(source="secret.name")
    resources = serializers.SerializerMethodField()
    agents = serializers.ListField(child=serializers.UUIDField(), source="agent_ids")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_resources(self, binding: Any) -> list[str]:
        """Those that you may read."""
        return [one.resource_id for one in binding.seen]


class BindingQuery(PageQuery):
    """Which bindings."""

    secret = serializers.CharField(required=False, max_length=100)
    resource = serializers.CharField(required=False, max_length=60)
    agent = serializers.UUIDField(required=False)


class BindingPageSerializer(PageSerializer):
    """Some bindings."""

    results = BindingSerializer(many=True)


class BindingsView(HouseView):
    @operation("list_bindings", "records", query=BindingQuery, gives=BindingPageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """The house's bindings, newest first; never a value."""
        query = self.asked(BindingQuery)
        rows = SecretBinding.objects.shown_to(self.agent)
        if "secret" in query:
            rows = rows.filter(secret__name=query["secret"])
        if "resource" in query:
            rows = rows.filter(pk__in=_of(Resource.objects.seen_by(self.agent).filter(pk=query["resource"])))
        if "agent" in query:
            rows = rows.filter(bound_agents__agent_id=query["agent"])
        return page(rows, BindingSerializer, query, by="created_at")

    @operation("create_binding", "records", takes=NewBindingSerializer, gives=BindingSerializer, status=201)
    def post(self, request: Request, house: str) -> Response:
        """Say which resources a credential serves and who gets it; for whoever has x on the house."""
        one = SecretBinding.objects.create_in(self.house, by=self.agent, **self.sent(NewBindingSerializer))
        return answer(BindingSerializer, _one(self.agent, one.pk), 201)

    def reachable(self, told: Any) -> None:
        _one(self.agent, told["id"])


class BindingView(HouseView):
    @operation("get_binding", "records", gives=BindingSerializer)
    def get(self, request: Request, house: str, binding: str) -> Response:
        """One binding."""
        return answer(BindingSerializer, _one(self.agent, binding))

    @operation("change_binding", "records", takes=NewBindingSerializer, gives=BindingSerializer)
    def put(self, request: Request, house: str, binding: str) -> Response:
        """The binding as it shall be from now on; for whoever has x on the house."""
        _one(self.agent, binding).change(by=self.agent, **self.sent(NewBindingSerializer))
        return answer(BindingSerializer, _one(self.agent, binding))

    @operation("remove_binding", "records")
    def delete(self, request: Request, house: str, binding: str) -> Response:
        """Nobody gets the credential by it any more; the credential stays."""
        _one(self.agent, binding).remove(by=self.agent)
        return Response(status=204)


def _of(resources: QuerySet[Resource]) -> QuerySet[Any]:
    return BoundResource.objects.filter(resource__in=resources).values("binding")


def _one(agent: Agent, binding: str) -> SecretBinding:
    return found(SecretBinding.objects.shown_to(agent), pk=binding)
