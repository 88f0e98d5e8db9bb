"""Commands of a thread."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.api.houses import AgentSerializer
from houses.api.paging import PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.api.view import Strict, answer
from houses.finding import found
from threads.api.threads import ThreadSerializer, ThreadView, environment_named
from threads.followed import STATUSES
from threads.models import Command


class CommandSerializer(serializers.Serializer[Any]):
    """A command; its output is on the thread's stream."""

    id = serializers.CharField()
    thread = serializers.CharField(source="thread_id")
    text = serializers.CharField()
    agent = AgentSerializer(help_text="Who asked for it.")
    status = serializers.ChoiceField(STATUSES)
    exit_code = serializers.IntegerField(allow_null=True)
    reason = serializers.CharField(allow_blank=True, help_text="Why it ended as it did, where that needs saying.")
    make = serializers.CharField(source="make_id", allow_null=True)
    targets = serializers.ListField(child=serializers.CharField())
    environment = serializers.CharField(source="environment_id")
    sandbox = serializers.CharField(source="sandbox_id", allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class CommandPageSerializer(PageSerializer):
    """Some commands."""

    results = CommandSerializer(many=True)


class CommandQuery(PageQuery):
    """Which commands."""

    status = serializers.ChoiceField(STATUSES, required=False)


class NewCommandSerializer(Strict):
    """A shell command to be run."""

    text = serializers.CharField(trim_whitespace=False)
    environment = serializers.CharField(
        required=False, help_text="An id; else the thread's environment, else the house's default."
    )


class StoppingSerializer(Strict):
    """What is to stop."""

    children = serializers.BooleanField(default=False, help_text="Also what runs in the threads below it.")


class CommandsView(ThreadView):
    @operation("list_commands", "commands", query=CommandQuery, gives=CommandPageSerializer)
    def get(self, request: Request, house: str, thread: str) -> Response:
        """The thread's commands, newest first; the runs of a bot are a list of their own."""
        query = self.asked(CommandQuery)
        which = {"status": query["status"]} if "status" in query else {}
        commands = Command.objects.filter(thread=self.thread, bot=None, **which).select_related("agent")
        return page(commands, CommandSerializer, query, by="created_at")

    @operation("run_command", "commands", takes=NewCommandSerializer, gives=CommandSerializer, status=201)
    def post(self, request: Request, house: str, thread: str) -> Response:
        """Have a command run on the thread's sandbox; its output comes on the thread's stream."""
        one, new = self.thread, self.sent(NewCommandSerializer)
        environment = environment_named(new, self.agent, self.house)
        command = one.run(new["text"], by=self.agent, environment=environment)
        command.refresh_from_db()
        return answer(CommandSerializer, command, 201)


class CommandView(ThreadView):
    @operation("get_command", "commands", gives=CommandSerializer)
    def get(self, request: Request, house: str, thread: str, command: str) -> Response:
        """One command."""
        return answer(CommandSerializer, self.command)

    @property
    def command(self) -> Command:
        commands = Command.objects.select_related("agent")
        return found(commands, pk=self.kwargs["command"], thread=self.thread)


class StopCommandView(CommandView):
    http_method_names = ["put", "options"]

    @operation("stop_command", "commands", gives=CommandSerializer)
    def put(self, request: Request, house: str, thread: str, command: str) -> Response:
        """Stop it and everything it started. One that is over stays as it is."""
        one = self.command
        one.stop(by=self.agent)
        return answer(CommandSerializer, one)


class StopThreadView(ThreadView):
    @operation("stop_thread", "threads", takes=StoppingSerializer, gives=ThreadSerializer)
    def put(self, request: Request, house: str, thread: str) -> Response:
        """Stop everything that runs in the thread."""
        one = self.thread
        one.stop(by=self.agent, children=self.sent(StoppingSerializer)["children"])
        return self.as_it_is_now(one)
