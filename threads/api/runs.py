"""One run of a bot, and what stops it or an answer."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.api.houses import AgentSerializer
from houses.api.schema import operation
from houses.api.view import answer
from houses.finding import found
from threads.api.tasks import RunSerializer
from threads.api.threads import ThreadView
from threads.followed import STATUSES
from threads.models import Answer, Command


class AnswerSerializer(serializers.Serializer[Any]):
    """What a bot answers somebody; what it says is on the thread's stream."""

    id = serializers.CharField()
    thread = serializers.CharField(source="thread_id")
    bot = AgentSerializer(source="agent")
    agent = AgentSerializer(source="asked_by", help_text="Who asked for it.")
    status = serializers.ChoiceField(STATUSES)
    reason = serializers.CharField(allow_blank=True, help_text="Why it ended as it did, where that needs saying.")
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class RunView(ThreadView):
    @operation("get_run", "tasks", gives=RunSerializer)
    def get(self, request: Request, house: str, thread: str, run: str) -> Response:
        """One run of the bot that drives the thread."""
        return answer(RunSerializer, self.run)

    @property
    def run(self) -> Command:
        runs = Command.objects.runs().select_related("agent", "bot", "thread")
        return found(runs, pk=self.kwargs["run"], thread=self.thread)


class StopRunView(RunView):
    http_method_names = ["put", "options"]

    @operation("stop_run", "tasks", gives=RunSerializer)
    def put(self, request: Request, house: str, thread: str, run: str) -> Response:
        """End it and everything it started; what it made until then is kept. One that is over stays as it is."""
        one = self.run
        one.stop(by=self.agent)
        return answer(RunSerializer, one)


class StopAnswerView(ThreadView):
    @operation("stop_answer", "tasks", gives=AnswerSerializer)
    def put(self, request: Request, house: str, thread: str, reply: str) -> Response:
        """End what a bot is answering; what it said until then stays. One that is over stays as it is."""
        rows = Answer.objects.select_related("agent", "asked_by", "thread")
        one = found(rows, pk=self.kwargs["reply"], thread=self.thread)
        one.stop(by=self.agent)
        return answer(AnswerSerializer, one)
