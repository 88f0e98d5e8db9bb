"""Making a target in a thread, and what that would take."""

from typing import Any

from django.db.models import Prefetch
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from artifacts.api.repositories import RepositoryView
from houses.api.houses import AgentSerializer
from houses.api.schema import operation
from houses.api.view import Strict, answer
from houses.finding import found
from houses.scopes import R
from threads.api.commands import CommandSerializer
from threads.api.threads import ThreadView
from threads.followed import CANCELLED, COMPLETED, FAILED, RUNNING
from threads.makes import environment_digests
from threads.models import Command, Make, Thread
from threads.plans import described, spent_before, together


class StepSerializer(serializers.Serializer[Any]):
    """One command that would run again, or one task that a bot would be given again."""

    outputs = serializers.ListField(child=serializers.CharField())
    command = serializers.CharField(help_text="The command; of a task, whom to ask and how that begins.")
    reasons = serializers.ListField(child=serializers.CharField(), help_text="Sentences.")
    bot = serializers.UUIDField(required=False, allow_null=True, help_text="Of a task: who did it the last time.")
    tokens = serializers.IntegerField(required=False, help_text="Of a task: what it took the last time.")
    usd = serializers.FloatField(required=False, allow_null=True, help_text="US dollars, where the price is known.")


class PlanSerializer(serializers.Serializer[Any]):
    """What making a target would take."""

    target = serializers.CharField(allow_null=True)
    steps = StepSerializer(many=True)
    fresh = serializers.IntegerField(help_text="How many of the files looked at need nothing.")
    seconds = serializers.FloatField(help_text="How long these steps took the last time.")
    tokens = serializers.IntegerField(help_text="What models were asked for in them.")
    usd = serializers.FloatField(allow_null=True, help_text="What that cost, as far as the price is known.")


class PlanQuery(Strict):
    """What to plan for."""

    target = serializers.CharField(required=False, help_text="A path; without it, everything that was ever made.")


class MakeSerializer(serializers.Serializer[Any]):
    """A target being made. Its steps run in child threads."""

    id = serializers.CharField()
    thread = serializers.CharField(source="thread_id")
    repository = serializers.CharField(source="repository_id")
    agent = AgentSerializer(help_text="Who asked for it.")
    target = serializers.CharField()
    status = serializers.ChoiceField([RUNNING, COMPLETED, FAILED, CANCELLED])
    reason = serializers.CharField(allow_blank=True)
    planned = serializers.SerializerMethodField(help_text="How many steps may have to run.")
    commands = CommandSerializer(many=True, source="commands.all", help_text="The steps that were started.")
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_planned(self, make: Make) -> int:
        return len(make.planned)


class NewMakeSerializer(Strict):
    """A file to be made."""

    target = serializers.CharField(max_length=1024, help_text="Its path.")


class PlanView(ThreadView):
    needs = R  # it tells of files

    @operation("plan_make", "makes", query=PlanQuery, gives=PlanSerializer)
    def get(self, request: Request, house: str, thread: str) -> Response:
        """What making a target would run, in order, and why. Nothing starts."""
        target = self.asked(PlanQuery).get("target")
        repository = self.thread.resolve_environment().repository
        plan = repository.plan(target, environment_digests())
        steps, spent = described(plan), together(spent_before(plan.steps).values())
        costs = {"seconds": round(plan.seconds, 3), "tokens": spent.tokens, "usd": spent.told()["usd"]}
        return Response({"target": target, "steps": steps, "fresh": plan.fresh, **costs})


class MakesView(ThreadView):
    @operation("make_target", "makes", takes=NewMakeSerializer, gives=MakeSerializer, status=201)
    def post(self, request: Request, house: str, thread: str) -> Response:
        """Make a file again, and before it whatever it is made from, as far as that went stale."""
        make = self.thread.make(self.sent(NewMakeSerializer)["target"], by=self.agent)
        make.refresh_from_db()
        return answer(MakeSerializer, make, 201)


class RepositoryMakesView(RepositoryView):
    @operation("make_file", "makes", takes=NewMakeSerializer, gives=MakeSerializer, status=201)
    def post(self, request: Request, house: str, repository: str) -> Response:
        """Make a file again in the thread that made it before, or else in a new one."""
        target = self.sent(NewMakeSerializer)["target"]
        make = Thread.objects.for_target(self.repository, target, by=self.agent).make(target, by=self.agent)
        make.refresh_from_db()
        return answer(MakeSerializer, make, 201)

    def reachable(self, told: Any) -> None:
        found(Thread.objects.readable_by(self.agent), pk=told["thread"])


class MakeView(ThreadView):
    @operation("get_make", "makes", gives=MakeSerializer)
    def get(self, request: Request, house: str, thread: str, make: str) -> Response:
        """One make, with the commands of its steps."""
        return answer(MakeSerializer, self.make)

    @property
    def make(self) -> Make:
        steps = Command.objects.readable_by(self.agent).select_related("agent")
        makes = Make.objects.select_related("agent").prefetch_related(Prefetch("commands", steps))
        return found(makes, pk=self.kwargs["make"], thread=self.thread)


class StopMakeView(MakeView):
    http_method_names = ["put", "options"]

    @operation("stop_make", "makes", gives=MakeSerializer)
    def put(self, request: Request, house: str, thread: str, make: str) -> Response:
        """Stop it with every step that runs. One that is over stays as it is."""
        self.make.stop(by=self.agent)
        return answer(MakeSerializer, self.make)
