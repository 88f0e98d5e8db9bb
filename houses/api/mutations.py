"""What was changed in a house, and by whom."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.api.paging import PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.api.view import HouseView
from houses.models import Mutation
from houses.mutations import ACTIONS
from houses.scopes import X


class MutationSerializer(serializers.Serializer[Any]):
    """One change of one row. Secret values are never in it."""

    id = serializers.IntegerField()
    agent = serializers.UUIDField(source="agent_id", allow_null=True, help_text="Null where arbe did it by itself.")
    table = serializers.CharField(source="table_name")
    row = serializers.CharField(source="row_id", help_text="Its key; one of several columns is joined by spaces.")
    action = serializers.ChoiceField(ACTIONS)
    before = serializers.DictField(allow_null=True, help_text="What it was: of a change, the fields that changed.")
    after = serializers.DictField(allow_null=True)
    at = serializers.DateTimeField()


class MutationPageSerializer(PageSerializer):
    """Some changes."""

    results = MutationSerializer(many=True)


class MutationQuery(PageQuery):
    """Which changes."""

    agent = serializers.UUIDField(required=False, help_text="Those by this agent.")
    table = serializers.CharField(required=False, max_length=80, help_text="Of what kind of thing.")
    row = serializers.CharField(required=False, max_length=200, help_text="Of this one thing.")
    action = serializers.ChoiceField(ACTIONS, required=False)
    since = serializers.DateTimeField(required=False, help_text="From then on.")
    until = serializers.DateTimeField(required=False, help_text="Before that.")


class MutationsView(HouseView):
    needs = X

    @operation("list_mutations", "mutations", query=MutationQuery, gives=MutationPageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """What was changed in this house, newest first. It takes x on the house."""
        query = self.asked(MutationQuery)
        names = ("agent", "table", "row", "action", "since", "until")
        rows = Mutation.objects.chosen(**{name: query[name] for name in names if name in query})
        return page(rows, MutationSerializer, query, order=("-id",))
