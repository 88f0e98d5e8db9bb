"""What happened in a thread, read from its stream."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.api.schema import operation
from houses.api.view import Strict
from houses.refusals import Invalid, Refused
from streams.calls import NoSuchStream
from streams.client import Page, StreamError, streams
from threads.api.threads import ThreadView

SEQ = r"^(?:-1|now|[0-9]{16}_[0-9]{16})$"


class StreamsUnreachable(Refused):
    """The stream server does not answer."""

    code = "streams_unreachable"
    status = 503


class EventSerializer(serializers.Serializer[Any]):
    """Something that happened."""

    seq = serializers.CharField(help_text="Where to read on from to get what came after it.")
    stream_id = serializers.CharField()
    author_agent_id = serializers.UUIDField(allow_null=True)
    type = serializers.CharField()
    payload = serializers.DictField(help_text="Its fields, which depend on the type.")
    ts = serializers.DateTimeField()


class EventPageSerializer(serializers.Serializer[Any]):
    """Some events, oldest first."""

    events = EventSerializer(many=True)
    next = serializers.CharField(help_text="`after` of the page that follows.")
    prev = serializers.CharField(allow_null=True, help_text="`before` of the page before; null at the beginning.")
    up_to_date = serializers.BooleanField(help_text="Nothing came after this page, so far.")


class EventQuery(Strict):
    """Which events: those after a seq, or the last ones before one. Without either, the last ones."""

    after = serializers.RegexField(SEQ, required=False)
    before = serializers.RegexField(SEQ, required=False)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=1000)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "after" in attrs and "before" in attrs:
            raise serializers.ValidationError("Ask for after or for before, not for both.")
        return attrs


class EventsView(ThreadView):
    stays_inside = False  # no transaction is open while a stream server is asked

    @operation("list_events", "threads", query=EventQuery, gives=EventPageSerializer)
    def get(self, request: Request, house: str, thread: str) -> Response:
        """Events of the thread, oldest first. To follow them live, read the stream itself or the websocket."""
        query = self.asked(EventQuery)
        with self.inside():
            stream = self.thread.stream_id
        told = _read(house, stream, query)
        return Response({"events": told.events, "next": told.next, "prev": told.prev, "up_to_date": told.up_to_date})


def _read(house: str, stream: str, query: dict[str, Any]) -> Page:
    limit = query["limit"]
    try:
        if "after" in query:
            return streams().read(house, stream, query["after"], limit=limit)
        return streams().before(house, stream, query.get("before", "now"), limit=limit)
    except NoSuchStream:  # nothing of it was relayed yet
        return Page([], query.get("after", "-1"), up_to_date=True, closed=False)
    except StreamError as error:
        if error.permanent:
            raise Invalid(error.detail) from error
        raise StreamsUnreachable("The stream server does not answer; nothing is lost, try again soon.") from error
