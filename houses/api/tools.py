"""Tools: what agents can call."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.agents import Agent
from houses.api.paging import PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.api.view import HouseView, Strict, answer
from houses.finding import found
from houses.models import Tool


class NewToolSerializer(Strict):
    """A tool as it shall be."""

    name = serializers.CharField(max_length=64, help_text="Letters, digits, - and _, as models call it.")
    kind = serializers.CharField(max_length=60, help_text="mcp, http, or another word.")
    description = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=4000, help_text="What it does, for whoever calls it."
    )
    schema = serializers.DictField(required=False, default=dict, help_text="JSON Schema (2020-12) of its input.")
    config = serializers.DictField(
        required=False,
        default=dict,
        help_text="mcp: {url, transport, headers}. http: {method, url, headers}. Headers name secrets as ${NAME}.",
    )


class ToolSerializer(serializers.Serializer[Any]):
    """Something that can be called."""

    id = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.CharField()
    of_installation = serializers.BooleanField(source="is_builtin", help_text="Every house has it; none changes it.")
    description = serializers.CharField()
    schema = serializers.DictField()
    config = serializers.DictField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class ToolQuery(PageQuery):
    """Which tools."""

    kind = serializers.CharField(required=False, max_length=60)
    name = serializers.CharField(required=False, max_length=64)


class ToolPageSerializer(PageSerializer):
    """Some tools."""

    results = ToolSerializer(many=True)


class ArgumentsSerializer(Strict):
    """A call, to be looked at and not made."""

    arguments = serializers.DictField()


class CheckedSerializer(serializers.Serializer[Any]):
    """A call that the tool would take."""

    fits = serializers.BooleanField()


class ToolsView(HouseView):
    needs = None  # whoever may read a tool finds it here, and no other

    @operation("list_tools", "records", query=ToolQuery, gives=ToolPageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """The tools of the house and of the installation that you may read, newest first."""
        query = self.asked(ToolQuery)
        which = {name: query[name] for name in ("kind", "name") if name in query}
        return page(Tool.objects.seen_by(self.agent).filter(**which), ToolSerializer, query, by="created_at")

    @operation("create_tool", "records", takes=NewToolSerializer, gives=ToolSerializer, status=201)
    def post(self, request: Request, house: str) -> Response:
        """A new tool of the house; for whoever has x on it."""
        one = Tool.objects.create_in(self.house, by=self.agent, **self.sent(NewToolSerializer))
        one.refresh_from_db()
        return answer(ToolSerializer, one, 201)

    def reachable(self, told: Any) -> None:
        _one(self.agent, told["id"])


class ToolView(HouseView):
    needs = None

    @operation("get_tool", "records", gives=ToolSerializer)
    def get(self, request: Request, house: str, tool: str) -> Response:
        """One tool."""
        return answer(ToolSerializer, _one(self.agent, tool))

    @operation("change_tool", "records", takes=NewToolSerializer, gives=ToolSerializer)
    def put(self, request: Request, house: str, tool: str) -> Response:
        """The tool as it shall be from now on; for whoever has x on the house."""
        one = _one(self.agent, tool)
        one.change(by=self.agent, **self.sent(NewToolSerializer))
        return answer(ToolSerializer, one)

    @operation("remove_tool", "records")
    def delete(self, request: Request, house: str, tool: str) -> Response:
        """Forget a tool, with what was granted on it; for whoever has x on the house."""
        _one(self.agent, tool).remove(by=self.agent)
        return Response(status=204)


class ToolCheckView(HouseView):
    needs = None

    @operation("check_call", "records", takes=ArgumentsSerializer, gives=CheckedSerializer)
    def post(self, request: Request, house: str, tool: str) -> Response:
        """Whether the tool takes these arguments; refused with where it breaks. Nothing is called."""
        _one(self.agent, tool).check_call(self.sent(ArgumentsSerializer)["arguments"])
        return Response({"fits": True})

    def reachable(self, told: Any) -> None:
        _one(self.agent, self.kwargs["tool"])


def _one(agent: Agent, tool: str) -> Tool:
    return found(Tool.objects.seen_by(agent), pk=tool)
