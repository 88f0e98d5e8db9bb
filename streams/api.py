"""Streams over the API: which raw ones a house has, and the events of its signals, in pages."""

from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.api.houses import AgentSerializer
from houses.api.paging import MOST, PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.api.view import HouseView, Strict
from houses.refusals import Invalid, Refused
from houses.scopes import X
from streams.calls import NoSuchStream, StreamError
from streams.client import A_PAGES, streams
from streams.models import RawStream


class Unreachable(Refused):
    """The stream server does not answer."""

    code = "streams_unreachable"
    status = 503


class SignalSerializer(serializers.Serializer[Any]):
    """Something that the system saw itself doing. Never what somebody said, ran or wrote."""

    seq = serializers.CharField(help_text="Its place in the stream of signals.")
    type = serializers.CharField(help_text="signal.command, signal.make or signal.failure.")
    agent = serializers.UUIDField(source="author_agent_id", help_text="Whose action it was.")
    payload = serializers.DictField(help_text="Its figures.")
    at = serializers.DateTimeField(source="ts")


class SignalPageSerializer(serializers.Serializer[Any]):
    """Some signals, newest first."""

    results = SignalSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="The cursor of the next page; null on the last one.")


class SignalQuery(Strict):
    """Where to read on from, and how much of it."""

    cursor = serializers.RegexField(r"^[0-9]{16}_[0-9]{16}$", required=False, help_text="`next` of the page before.")
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=MOST)


class SignalsView(HouseView):
    needs = X  # signals tell of every thread of the house
    stays_inside = False  # no transaction is open while a stream server is asked

    @operation("list_signals", "signals", query=SignalQuery, gives=SignalPageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """What the system saw itself doing in this house, newest first."""
        query = self.asked(SignalQuery)
        stream = self.house.signals_stream_id
        if stream is None:
            return Response({"results": [], "next": None})
        try:
            page = streams(A_PAGES).before(self.house.pk, stream, query.get("cursor", "now"), query["limit"])
        except NoSuchStream:
            return Response({"results": [], "next": None})
        except StreamError as error:
            if error.permanent:
                raise Invalid(error.detail) from error
            raise Unreachable("The stream of signals cannot be read right now; try again in a moment.") from error
        results = [SignalSerializer(event).data for event in reversed(page.events)]
        return Response({"results": results, "next": page.prev})


class RawStreamSerializer(serializers.Serializer[Any]):
    """A log that the house keeps for itself."""

    name = serializers.CharField(help_text="Its address is /v1/stream/{house}/{name}.")
    content_type = serializers.CharField()
    created_by = AgentSerializer(allow_null=True)
    created_at = serializers.DateTimeField()


class RawStreamPageSerializer(PageSerializer):
    """Some raw streams."""

    results = RawStreamSerializer(many=True)


class RawStreamsView(HouseView):
    @operation("list_raw_streams", "streams", query=PageQuery, gives=RawStreamPageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """The raw streams of the house, newest first. They are made, written, read and ended at their own addresses.

        `PUT /v1/stream/{house}/raw.NAME` with a Content-Type makes one; it takes w on the house, by token.
        """
        rows = RawStream.objects.select_related("created_by")
        return page(rows, RawStreamSerializer, self.asked(PageQuery), by="created_at")


urlpatterns = [
    path("houses/<slug:house>/streams/", RawStreamsView.as_view()),
    path("houses/<slug:house>/signals/", SignalsView.as_view()),
]
