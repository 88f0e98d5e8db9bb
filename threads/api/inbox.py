"""What somebody should look at, and that they did."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.api.houses import AgentSerializer
from houses.api.paging import PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.api.view import HouseView, answer
from houses.finding import found
from threads.inbox import KINDS
from threads.models import InboxEntry


class InboxEntrySerializer(serializers.Serializer[Any]):
    """One thing to look at. What waits for an answer is done when somebody says something in its thread."""

    id = serializers.CharField()
    thread = serializers.CharField(source="thread_id")
    thread_name = serializers.CharField(source="thread.name", allow_null=True)
    kind = serializers.ChoiceField(KINDS)
    text = serializers.CharField(allow_blank=True, help_text="The message, the question, or what came of it.")
    by = AgentSerializer(allow_null=True, help_text="Who mentioned you, who waits, or which bot is done.")
    created_at = serializers.DateTimeField()
    read_at = serializers.DateTimeField(allow_null=True)
    done_at = serializers.DateTimeField(allow_null=True)


class InboxPageSerializer(PageSerializer):
    """Some of it."""

    results = InboxEntrySerializer(many=True)


class InboxQuery(PageQuery):
    """Which entries."""

    kind = serializers.ChoiceField(KINDS, required=False)
    thread = serializers.CharField(required=False)
    unread = serializers.BooleanField(required=False, allow_null=True, default=None)
    done = serializers.BooleanField(required=False, allow_null=True, default=None)


class InboxView(HouseView):
    needs = None  # one's own, of threads that one may read

    @operation("list_inbox", "inbox", query=InboxQuery, gives=InboxPageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """What is yours to look at, newest first; nothing of threads that you may not read any more."""
        query = self.asked(InboxQuery)
        rows = entries(self.agent).filter(**{name: query[name] for name in ("kind", "thread") if name in query})
        for name, column in (("unread", "read_at"), ("done", "done_at")):
            if query[name] is not None:
                rows = rows.filter(**{f"{column}__isnull": query[name] == (name == "unread")})
        return page(rows, InboxEntrySerializer, query, by="created_at")


class InboxEntryView(HouseView):
    needs = None
    row = InboxEntry, "pk", "entry"

    @operation("get_inbox_entry", "inbox", gives=InboxEntrySerializer)
    def get(self, request: Request, house: str, entry: str) -> Response:
        """One thing to look at."""
        return answer(InboxEntrySerializer, self.entry)

    @property
    def entry(self) -> InboxEntry:
        return found(entries(self.agent), pk=self.kwargs["entry"])


class InboxReadView(InboxEntryView):
    http_method_names = ["put", "delete", "options"]

    @operation("read_inbox_entry", "inbox", gives=InboxEntrySerializer)
    def put(self, request: Request, house: str, entry: str) -> Response:
        """You have seen it."""
        one = self.entry
        one.read(by=self.agent)
        return answer(InboxEntrySerializer, one)

    @operation("unread_inbox_entry", "inbox", gives=InboxEntrySerializer, status=200)
    def delete(self, request: Request, house: str, entry: str) -> Response:
        """To be looked at again."""
        one = self.entry
        one.unread(by=self.agent)
        return answer(InboxEntrySerializer, one)


class InboxDoneView(InboxEntryView):
    http_method_names = ["put", "options"]

    @operation("finish_inbox_entry", "inbox", gives=InboxEntrySerializer)
    def put(self, request: Request, house: str, entry: str) -> Response:
        """Nothing more has to be done about it."""
        one = self.entry
        one.done(by=self.agent)
        return answer(InboxEntrySerializer, one)


def entries(agent: Any) -> "QuerySet[InboxEntry]":
    """What is theirs, with what is told of it."""
    return InboxEntry.objects.of(agent).select_related("thread", "by")
