"""Tasks handed to coding agents: delegated from a thread, steered while they run, and what waits to be said."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.api.houses import AgentSerializer
from houses.api.paging import PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.api.view import Strict, answer
from houses.finding import agent_named, found
from houses.models import Agent
from houses.refusals import Forbidden, Invalid, NotFound
from houses.rights import require, rights
from houses.scopes import R, W
from sandboxes.models import Sandbox
from threads.api.threads import ThreadSerializer, ThreadView, environment_named
from threads.delegating import bot_named
from threads.followed import STATUSES
from threads.models import Command, Thread, WaitingMessage

NO_MACHINE = "There is no such machine at work in this house."


class RunSerializer(serializers.Serializer[Any]):
    """A run of the agent that drives the thread; what it does is on the thread's stream."""

    id = serializers.CharField()
    thread = serializers.CharField(source="thread_id")
    bot = AgentSerializer()
    agent = AgentSerializer(help_text="Who asked for it.")
    prompt = serializers.CharField(source="text")
    runtime = serializers.CharField(source="recipe.runtime")
    model = serializers.CharField(source="recipe.model")
    status = serializers.ChoiceField(STATUSES)
    reason = serializers.CharField(allow_blank=True, help_text="Why it ended as it did, where that needs saying.")
    make = serializers.CharField(source="make_id", allow_null=True)
    sandbox = serializers.CharField(source="sandbox_id", allow_null=True)
    depth = serializers.IntegerField(help_text="How often it was handed on.")
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class RunPageSerializer(PageSerializer):
    """Some runs."""

    results = RunSerializer(many=True)


class NewTaskSerializer(Strict):
    """A task for a coding agent."""

    bot = serializers.CharField(
        required=False, help_text="The name or the id of a bot of this house; else the one that drives the thread."
    )
    text = serializers.CharField(trim_whitespace=False)
    environment = serializers.CharField(
        required=False, help_text="An id; else the thread's environment, else the house's default."
    )
    sandbox = serializers.CharField(
        required=False, help_text="The id of a machine to work on, on purpose; by default the task has one of its own."
    )


class QuestionSerializer(Strict):
    """Something the run that goes on needs to know."""

    on = serializers.CharField(help_text="The name or the id of somebody of this house.")
    question = serializers.CharField(max_length=4000)


class WaitingMessageSerializer(serializers.Serializer[Any]):
    """Something that was said to a bot at work."""

    id = serializers.CharField()
    agent = AgentSerializer()
    text = serializers.CharField()
    steers = serializers.BooleanField(help_text="Whether it goes to the run as soon as the agent listens.")
    created_at = serializers.DateTimeField()


class WaitingPageSerializer(PageSerializer):
    """Some messages that wait."""

    results = WaitingMessageSerializer(many=True)


class SaidOtherwiseSerializer(Strict):
    """What it says instead."""

    text = serializers.CharField(trim_whitespace=False)


class TasksView(ThreadView):
    @operation("delegate_task", "tasks", takes=NewTaskSerializer, gives=ThreadSerializer, status=201)
    def post(self, request: Request, house: str, thread: str) -> Response:
        """Hand a task to a coding agent, in a child thread; that is what is answered."""
        one, new = self.thread, self.sent(NewTaskSerializer)
        child = one.delegate(
            new["text"],
            bot=_bot(new, one),
            by=self.agent,
            environment=environment_named(new, self.agent, self.house),
            sandbox=sandbox_named(new, self.agent),
        )
        return self.as_it_is_now(child, 201)

    def reachable(self, told: Any) -> None:
        found(Thread.objects.readable_by(self.agent), pk=told["id"])


class RunsView(ThreadView):
    @operation("list_runs", "tasks", query=PageQuery, gives=RunPageSerializer)
    def get(self, request: Request, house: str, thread: str) -> Response:
        """The runs of the bot that drives the thread, newest first."""
        runs = Command.objects.runs().filter(thread=self.thread).select_related("agent", "bot")
        return page(runs, RunSerializer, self.asked(PageQuery), by="created_at")


class QuestionsView(ThreadView):
    @operation("ask_somebody", "tasks", takes=QuestionSerializer, gives=RunSerializer, status=201)
    def post(self, request: Request, house: str, thread: str) -> Response:
        """For the run that goes on: it waits on somebody; whatever is said in the thread next answers it."""
        one, new = self.thread, self.sent(QuestionSerializer)
        require(self.agent, W, one)
        run = Command.objects.runs().unfinished().filter(thread=one).select_related("agent", "bot", "thread").first()
        if run is None:
            raise Invalid("No agent is at work in this thread, so nothing waits.")
        if self.agent.pk != run.bot_id or self.agent.within not in ("", one.pk):
            raise Forbidden("Only the agent that is at work in this thread asks for itself; say it instead.")
        run.wait_on(agent_named(new["on"]), new["question"])
        return answer(RunSerializer, run, 201)


class WaitingMessagesView(ThreadView):
    @operation("list_waiting_messages", "tasks", query=PageQuery, gives=WaitingPageSerializer)
    def get(self, request: Request, house: str, thread: str) -> Response:
        """What was said to the bot at work and not handed over yet, oldest first."""
        waiting = WaitingMessage.objects.still_waiting().filter(thread=self.thread).select_related("agent")
        return page(waiting, WaitingMessageSerializer, self.asked(PageQuery), order=("created_at",))


class WaitingMessageView(ThreadView):
    @operation("edit_waiting_message", "tasks", takes=SaidOtherwiseSerializer, gives=WaitingMessageSerializer)
    def patch(self, request: Request, house: str, thread: str, message: str) -> Response:
        """Say it otherwise, as long as nobody has read it."""
        one = found(self._rows(), pk=message)
        one.edit(self.sent(SaidOtherwiseSerializer)["text"], by=self.agent)
        return answer(WaitingMessageSerializer, one)

    @operation("withdraw_waiting_message", "tasks", status=204)
    def delete(self, request: Request, house: str, thread: str, message: str) -> Response:
        """Take it back, as long as nobody has read it."""
        found(self._rows(), pk=message).withdraw(by=self.agent)
        return Response(status=204)

    def _rows(self) -> Any:
        return WaitingMessage.objects.filter(thread=self.thread).select_related("agent", "thread")


def sandbox_named(new: dict[str, Any], agent: Agent) -> Sandbox | None:
    """The machine that was asked for, which is for whoever may write in a thread that works on it."""
    if "sandbox" not in new:
        return None
    sandbox = found(Sandbox.objects.live(), NO_MACHINE, pk=new["sandbox"])
    require_shared(agent, sandbox)
    return sandbox


def require_shared(by: Agent, sandbox: Sandbox) -> None:
    """Refuse a machine to whoever may not write in every thread that works on it: who works there has all its files."""
    threads = list(Thread.objects.on(sandbox))
    if not threads:
        raise NotFound(NO_MACHINE)
    held = rights(by, threads)
    if any(R not in held[thread.pk].bits for thread in threads):
        raise NotFound(NO_MACHINE)
    for thread in threads:
        require(by, W, thread)


def _bot(new: dict[str, Any], thread: Thread) -> Agent:
    if "bot" in new:
        return bot_named(new["bot"])
    if thread.agent is None:
        raise Invalid("bot: no bot drives this thread; say which one is to do it.")
    return thread.agent
