"""Sandboxes: the machines of a house, as far as they need looking after."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.api.paging import PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.api.view import HouseView, answer
from houses.finding import found
from sandboxes.machines import DEAD, LIVE, PENDING
from sandboxes.models import Sandbox


class SandboxSerializer(serializers.Serializer[Any]):
    """A machine and its working tree."""

    id = serializers.CharField()
    environment = serializers.CharField(source="environment_id")
    provider = serializers.CharField()
    status = serializers.ChoiceField([PENDING, LIVE, DEAD])
    created_at = serializers.DateTimeField()
    destroyed_at = serializers.DateTimeField(allow_null=True)
    tree = serializers.CharField(allow_null=True, help_text="Object id of its tree, as of the last look.")
    snapshot = serializers.CharField(allow_null=True, help_text="The last commit that keeps the tree.")


class SandboxQuery(PageQuery):
    """Which sandboxes."""

    status = serializers.ChoiceField([PENDING, LIVE, DEAD], required=False)


class SandboxPageSerializer(PageSerializer):
    """Some sandboxes."""

    results = SandboxSerializer(many=True)


class SandboxesView(HouseView):
    @operation("list_sandboxes", "sandboxes", query=SandboxQuery, gives=SandboxPageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """The house's sandboxes, newest first."""
        query = self.asked(SandboxQuery)
        which = {"status": query["status"]} if "status" in query else {}
        return page(Sandbox.objects.filter(**which), SandboxSerializer, query, by="created_at")


class SandboxView(HouseView):
    stays_inside = False  # no transaction is open while a machine goes away

    @operation("get_sandbox", "sandboxes", gives=SandboxSerializer)
    def get(self, request: Request, house: str, sandbox: str) -> Response:
        """One sandbox."""
        with self.inside():
            return answer(SandboxSerializer, found(Sandbox.objects.all(), pk=sandbox))

    @operation("destroy_sandbox", "sandboxes")
    def delete(self, request: Request, house: str, sandbox: str) -> Response:
        """Let a machine go. Its last snapshot stays, and the next command of its threads gets a new one from there."""
        with self.inside():
            machine = found(Sandbox.objects.all(), pk=sandbox)
        machine.dismiss(by=self.agent)
        return Response(status=204)
