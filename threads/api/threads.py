"""Threads: opened, found, named, pinned, tagged, closed, spoken in."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.api.paging import PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.api.view import HouseView, Strict, answer
from houses.finding import found
from houses.models import Agent, House
from houses.refusals import Forbidden
from houses.rights import require
from houses.scopes import R
from sandboxes.models import Environment
from threads.models import Thread
from threads.thread import CHAT, DRIVEN

STATUSES = (*CHAT, *DRIVEN)


class ThreadSerializer(serializers.Serializer[Any]):
    """A thread."""

    id = serializers.CharField()
    name = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(STATUSES)
    stream = serializers.CharField(source="stream_id", help_text="Its events: /v1/stream/{house}/{stream}.")
    parent = serializers.CharField(source="parent_thread_id", allow_null=True)  # type: ignore[assignment]  # a field of ours, not REST framework's attribute
    environment = serializers.CharField(source="environment_id", allow_null=True)
    sandbox = serializers.CharField(source="sandbox_id", allow_null=True)
    agent = serializers.UUIDField(source="agent_id", allow_null=True, help_text="The bot that drives it.")
    tags = serializers.ListField(child=serializers.CharField())
    pinned_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class ThreadPageSerializer(PageSerializer):
    """Some threads."""

    results = ThreadSerializer(many=True)


class ThreadWithChildrenSerializer(ThreadSerializer):
    """A thread and the threads that work went to from it."""

    children = ThreadSerializer(many=True)


class ThreadQuery(PageQuery):
    """Which threads."""

    pinned = serializers.BooleanField(required=False, allow_null=True, default=None)
    tag = serializers.CharField(required=False)
    status = serializers.ChoiceField(STATUSES, required=False)
    parent = serializers.CharField(  # type: ignore[assignment]  # a field of ours, not REST framework's attribute
        required=False, help_text="The children of this thread; `none` for threads without a parent."
    )


class NewThreadSerializer(Strict):
    """A thread to be opened."""

    name = serializers.CharField(max_length=200, required=False, allow_null=True, default=None)
    environment = serializers.CharField(required=False, help_text="An id; else the house's default is used.")
    parent = serializers.CharField(required=False, help_text="The id of the thread that this one is a child of.")  # type: ignore[assignment]  # a field of ours, not REST framework's attribute


class NameSerializer(Strict):
    """What it is called."""

    name = serializers.CharField(max_length=200, allow_blank=True)


class TagsSerializer(serializers.ListSerializer[Any]):
    """Tags, all of them."""

    child = serializers.CharField()


class NewMessageSerializer(Strict):
    """Something to say, in markdown."""

    text = serializers.CharField(trim_whitespace=False)
    waits = serializers.BooleanField(
        default=False, help_text="To a bot at work: let it finish first. Otherwise it is steered."
    )


class ThreadsView(HouseView):
    needs = None  # whoever may read a thread lists that one

    @operation("list_threads", "threads", query=ThreadQuery, gives=ThreadPageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """The threads that one may read, most recently touched first."""
        query = self.asked(ThreadQuery)
        answered = page(_chosen(query, self.agent), ThreadSerializer, query, by="updated_at")
        answered.data["results"] = with_seen_parents(answered.data["results"], self.agent)
        return answered

    @operation("open_thread", "threads", takes=NewThreadSerializer, gives=ThreadSerializer, status=201)
    def post(self, request: Request, house: str) -> Response:
        """Open a thread."""
        new = self.sent(NewThreadSerializer)
        environment = environment_named(new, self.agent, self.house)
        parent = found(Thread.objects.readable_by(self.agent), pk=new["parent"]) if "parent" in new else None
        thread = Thread.objects.open_in(
            self.house, by=self.agent, name=new["name"], environment=environment, parent=parent
        )
        thread.refresh_from_db()
        return answer(ThreadSerializer, thread, 201)

    def reachable(self, told: Any) -> None:
        found(Thread.objects.readable_by(self.agent), pk=told["id"])


class ThreadView(HouseView):
    """What all views of one thread have in common: they find it, if whoever asks may read it."""

    needs: str | None = None
    row = Thread, "pk", "thread"

    @property
    def thread(self) -> Thread:
        return found(Thread.objects.readable_by(self.agent), pk=self.kwargs["thread"])

    def reachable(self, told: Any) -> None:
        found(Thread.objects.readable_by(self.agent), pk=self.kwargs["thread"])

    def as_it_is_now(self, thread: Thread, status: int = 200) -> Response:
        thread.refresh_from_db()
        return Response(with_seen_parents([ThreadSerializer(thread).data], self.agent)[0], status)


class OneThreadView(ThreadView):
    @operation("get_thread", "threads", gives=ThreadWithChildrenSerializer)
    def get(self, request: Request, house: str, thread: str) -> Response:
        """One thread, with its children in the order they were opened."""
        one = self.thread
        children = Thread.objects.readable_by(self.agent).filter(parent_thread=one).order_by("created_at", "pk")
        told = [ThreadSerializer(child).data for child in children]
        (itself,) = with_seen_parents([ThreadSerializer(one).data], self.agent)
        return Response({**itself, "children": told})

    @operation("rename_thread", "threads", takes=NameSerializer, gives=ThreadSerializer)
    def patch(self, request: Request, house: str, thread: str) -> Response:
        """Call it something else; an empty name takes the name away."""
        one = self.thread
        one.rename(self.sent(NameSerializer)["name"], by=self.agent)
        return self.as_it_is_now(one)


class PinView(ThreadView):
    @operation("pin_thread", "threads", gives=ThreadSerializer)
    def put(self, request: Request, house: str, thread: str) -> Response:
        """Make it a place in everybody's sidebar."""
        one = self.thread
        one.pin(by=self.agent)
        return self.as_it_is_now(one)

    @operation("unpin_thread", "threads", gives=ThreadSerializer, status=200)
    def delete(self, request: Request, house: str, thread: str) -> Response:
        """Take it out of the sidebar's places."""
        one = self.thread
        one.unpin(by=self.agent)
        return self.as_it_is_now(one)


class TagsView(ThreadView):
    @operation("tag_thread", "threads", takes=TagsSerializer, gives=ThreadSerializer)
    def put(self, request: Request, house: str, thread: str) -> Response:
        """Exactly these tags from now on."""
        one = self.thread
        one.tag(self.sent(TagsSerializer), by=self.agent)
        return self.as_it_is_now(one)


class ClosingView(ThreadView):
    @operation("close_thread", "threads", gives=ThreadSerializer)
    def put(self, request: Request, house: str, thread: str) -> Response:
        """Close it: nothing is said or done in it until somebody reopens it."""
        one = self.thread
        one.close(by=self.agent)
        return self.as_it_is_now(one)

    @operation("reopen_thread", "threads", gives=ThreadSerializer)
    def delete(self, request: Request, house: str, thread: str) -> Response:
        """Open it again."""
        one = self.thread
        one.reopen(by=self.agent)
        return self.as_it_is_now(one)


class MessagesView(ThreadView):
    @operation("say", "threads", takes=NewMessageSerializer, gives=ThreadSerializer, status=201)
    def post(self, request: Request, house: str, thread: str) -> Response:
        """Say something; it arrives as a `message` on the thread's stream. To a bot that drives it, it is work."""
        one = self.thread
        one.say(**self.sent(NewMessageSerializer), by=self.agent)
        return self.as_it_is_now(one, 201)


def with_seen_parents(told: list[dict[str, Any]], agent: Agent) -> list[dict[str, Any]]:
    """Threads as they are told, without the parents that the agent may not read."""
    parents = {one["parent"] for one in told if one["parent"]}
    seen = set(Thread.objects.readable_by(agent).filter(pk__in=parents).values_list("pk", flat=True)) if parents else ()
    return [{**one, "parent": one["parent"] if one["parent"] in seen else None} for one in told]


def environment_named(new: dict[str, Any], agent: Agent, house: House) -> Environment | None:
    """The environment that was asked for by its id, which is for whoever may read the house.

    A run stays in the one of its thread: another one has other secrets, and may open the network.
    """
    if "environment" not in new:
        return None
    require(agent, R, house)
    environment = found(Environment.objects.all(), pk=new["environment"])
    if agent.within and environment != Thread.objects.get(pk=agent.within).resolve_environment():
        raise Forbidden("The token of a run asks for work in the environment of its thread, and in no other one.")
    return environment


def _chosen(query: dict[str, Any], agent: Agent) -> QuerySet[Thread]:
    threads = Thread.objects.readable_by(agent)
    if query["pinned"] is not None:
        threads = threads.filter(pinned_at__isnull=not query["pinned"])
    if "tag" in query:
        threads = threads.tagged(query["tag"])
    if "status" in query:
        threads = threads.filter(status=query["status"])
    if "parent" in query:
        none = query["parent"] == "none"
        threads = threads.filter(parent_thread=None) if none else threads.filter(parent_thread=query["parent"])
    return threads
