"""Houses, and whoever came in."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.agents import BOT, HUMAN, RUNTIMES
from houses.api.paging import PageQuery, PageSerializer, named, page
from houses.api.schema import operation
from houses.api.view import AgentView, HouseView, Strict, answer
from houses.credentials import Token
from houses.models import House
from houses.refusals import Forbidden

KINDS = (HUMAN, BOT)


class AgentSerializer(serializers.Serializer[Any]):
    """Somebody: a person or a bot."""

    id = serializers.UUIDField()
    name = serializers.CharField(source="__str__")
    kind = serializers.ChoiceField(KINDS)
    runtime = serializers.ChoiceField(RUNTIMES, allow_null=True)


class HouseSerializer(serializers.Serializer[Any]):
    """A house."""

    id = serializers.CharField()
    name = serializers.CharField()
    default_environment = serializers.CharField(source="default_environment_id", allow_null=True)
    created_at = serializers.DateTimeField()


class HousePageSerializer(PageSerializer):
    """Some houses."""

    results = HouseSerializer(many=True)


class HouseQuery(PageQuery):
    """Which houses."""

    name = serializers.CharField(required=False)


class NewHouseSerializer(Strict):
    """A house to be founded."""

    name = serializers.CharField(max_length=200)


class HousesView(AgentView):
    @operation("list_houses", "houses", query=HouseQuery, gives=HousePageSerializer)
    def get(self, request: Request) -> Response:
        """The houses you are in, by name; with a token, the one it opens."""
        query = self.asked(HouseQuery)
        mine = named(House.objects.all(), query)
        if isinstance(request.auth, Token):
            mine = mine.filter(pk=request.auth.house_id)
        return page(mine, HouseSerializer, query, order=["name"])

    @operation("found_house", "houses", takes=NewHouseSerializer, gives=HouseSerializer, status=201)
    def post(self, request: Request) -> Response:
        """Found a house; you are its first owner."""
        if isinstance(request.auth, Token):
            raise Forbidden("A token speaks in its own house alone; sign in to found another.")
        return answer(HouseSerializer, House.objects.found(self.sent(NewHouseSerializer)["name"], by=self.agent), 201)


class OneHouseView(HouseView):
    @operation("get_house", "houses", gives=HouseSerializer)
    def get(self, request: Request, house: str) -> Response:
        """One house."""
        return answer(HouseSerializer, self.house)
