"""Resources: the things outside that a house's agents operate on."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.api.paging import PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.api.view import HouseView, Strict, answer
from houses.finding import found
from houses.models import Resource


class NewResourceSerializer(Strict):
    """A resource as it shall be."""

    name = serializers.CharField(max_length=200)
    kind = serializers.CharField(max_length=60, help_text="One word, such as github-repo; any word will do.")
    external_id = serializers.CharField(max_length=500, help_text="What the other platform calls it.")
    config = serializers.DictField(
        required=False, default=dict, help_text="Whatever an adapter needs that is no secret: everybody here reads it."
    )


class ResourceSerializer(serializers.Serializer[Any]):
    """Something outside."""

    id = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.CharField()
    external_id = serializers.CharField()
    config = serializers.DictField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class ResourceQuery(PageQuery):
    """Which resources."""

    kind = serializers.CharField(required=False, max_length=60)
    external_id = serializers.CharField(required=False, max_length=500)


class ResourcePageSerializer(PageSerializer):
    """Some resources."""

    results = ResourceSerializer(many=True)


class ResourcesView(HouseView):
    needs = None  # whoever may read a resource finds it here, and no other

    @operation("list_resources", "records", query=ResourceQuery, gives=ResourcePageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """The resources that you may read, newest first."""
        query = self.asked(ResourceQuery)
        which = {name: query[name] for name in ("kind", "external_id") if name in query}
        rows = Resource.objects.seen_by(self.agent).filter(**which)
        return page(rows, ResourceSerializer, query, by="created_at")

    @operation("create_resource", "records", takes=NewResourceSerializer, gives=ResourceSerializer, status=201)
    def post(self, request: Request, house: str) -> Response:
        """A new resource; for whoever has x on the house."""
        one = Resource.objects.create_in(self.house, by=self.agent, **self.sent(NewResourceSerializer))
        one.refresh_from_db()
        return answer(ResourceSerializer, one, 201)

    def reachable(self, told: Any) -> None:
        found(Resource.objects.seen_by(self.agent), pk=told["id"])


class ResourceView(HouseView):
    needs = None

    @operation("get_resource", "records", gives=ResourceSerializer)
    def get(self, request: Request, house: str, resource: str) -> Response:
        """One resource."""
        return answer(ResourceSerializer, self._one(resource))

    @operation("change_resource", "records", takes=NewResourceSerializer, gives=ResourceSerializer)
    def put(self, request: Request, house: str, resource: str) -> Response:
        """The resource as it shall be from now on; for whoever has x on the house."""
        one = self._one(resource)
        one.change(by=self.agent, **self.sent(NewResourceSerializer))
        return answer(ResourceSerializer, one)

    @operation("remove_resource", "records")
    def delete(self, request: Request, house: str, resource: str) -> Response:
        """Forget a resource, with what was granted on it; for whoever has x on the house."""
        self._one(resource).remove(by=self.agent)
        return Response(status=204)

    def _one(self, resource: str) -> Resource:
        return found(Resource.objects.seen_by(self.agent), pk=resource)
