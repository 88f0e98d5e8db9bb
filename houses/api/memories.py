"""Memories: what a house, or an agent alone, wants to know again."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.api.paging import PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.api.view import HouseView, Strict, answer
from houses.finding import found
from houses.memories import FACT, LONGEST
from houses.models import Memory


class TagsField(serializers.ListField):
    """Short words."""

    child = serializers.CharField(max_length=100)


class NewMemorySerializer(Strict):
    """Something to keep."""

    text = serializers.CharField(max_length=LONGEST)
    kind = serializers.CharField(max_length=60, default=FACT, help_text="fact, preference, commitment, reference, …")
    subject = serializers.CharField(max_length=200, default="", allow_blank=True, help_text="What it is about.")
    confidence = serializers.FloatField(min_value=0, max_value=1, allow_null=True, default=None)
    source_ref = serializers.CharField(
        source="source", max_length=200, default="", allow_blank=True, help_text="The thread or run it was learned in."
    )
    tags = TagsField(default=list, max_length=100)
    private = serializers.BooleanField(default=False, help_text="For yourself alone; otherwise for the whole house.")


class NewerMemorySerializer(Strict):
    """What stands in place of a memory; what is left out stays as it was."""

    text = serializers.CharField(max_length=LONGEST)
    kind = serializers.CharField(max_length=60, required=False)
    subject = serializers.CharField(max_length=200, required=False, allow_blank=True)
    confidence = serializers.FloatField(min_value=0, max_value=1, allow_null=True, default=None)
    source_ref = serializers.CharField(source="source", max_length=200, default="", allow_blank=True)
    tags = TagsField(required=False, max_length=100)


class MemorySerializer(serializers.Serializer[Any]):
    """Something worth knowing again."""

    id = serializers.CharField()
    private = serializers.BooleanField(source="is_private", help_text="Yours alone.")
    kind = serializers.CharField()
    subject = serializers.CharField()
    text = serializers.CharField()
    confidence = serializers.FloatField(allow_null=True)
    source_ref = serializers.CharField(source="source")
    supersedes = serializers.CharField(source="supersedes_id", allow_null=True)
    tags = TagsField()
    created_by = serializers.UUIDField(source="created_by_id", allow_null=True)
    created_at = serializers.DateTimeField()


class MemoryQuery(PageQuery):
    """Which memories."""

    words = serializers.CharField(required=False, max_length=500, help_text='Such as: rain -snow "in april" or hail')
    tag = serializers.CharField(required=False, max_length=100)
    kind = serializers.CharField(required=False, max_length=60)
    subject = serializers.CharField(required=False, max_length=200)
    superseded = serializers.BooleanField(default=False, help_text="With those that something newer stands in for.")


class MemoryPageSerializer(PageSerializer):
    """Some memories."""

    results = MemorySerializer(many=True)


class MemoriesView(HouseView):
    @operation("recall", "records", query=MemoryQuery, gives=MemoryPageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """What the house remembers, and what you do, newest first."""
        query = self.asked(MemoryQuery)
        rows = Memory.objects.seen_by(self.agent).recall(
            query.get("words", ""),
            tags=[query["tag"]] if "tag" in query else [],
            kind=query.get("kind", ""),
            subject=query.get("subject", ""),
            superseded=query["superseded"],
        )
        return page(rows, MemorySerializer, query, by="created_at")

    @operation("remember", "records", takes=NewMemorySerializer, gives=MemorySerializer, status=201)
    def post(self, request: Request, house: str) -> Response:
        """Keep something: for yourself, or for the house, which takes w on it."""
        given = self.sent(NewMemorySerializer)
        return answer(MemorySerializer, _fresh(Memory.objects.remember(given.pop("text"), by=self.agent, **given)), 201)

    def reachable(self, told: Any) -> None:
        found(Memory.objects.seen_by(self.agent), pk=told["id"])


class MemoryView(HouseView):
    @operation("get_memory", "records", gives=MemorySerializer)
    def get(self, request: Request, house: str, memory: str) -> Response:
        """One memory: of the house, or of your own."""
        return answer(MemorySerializer, found(Memory.objects.seen_by(self.agent), pk=memory))

    @operation("forget", "records")
    def delete(self, request: Request, house: str, memory: str) -> Response:
        """Forget it for good; what it had superseded holds again."""
        found(Memory.objects.seen_by(self.agent), pk=memory).forget(by=self.agent)
        return Response(status=204)


class SuccessorView(HouseView):
    @operation("supersede", "records", takes=NewerMemorySerializer, gives=MemorySerializer, status=201)
    def post(self, request: Request, house: str, memory: str) -> Response:
        """Put something truer in its place."""
        given = self.sent(NewerMemorySerializer)
        older = found(Memory.objects.seen_by(self.agent), pk=memory)
        return answer(MemorySerializer, _fresh(older.supersede(given.pop("text"), by=self.agent, **given)), 201)

    def reachable(self, told: Any) -> None:
        found(Memory.objects.seen_by(self.agent), pk=told["id"])


def _fresh(memory: Memory) -> Memory:
    memory.refresh_from_db()
    return memory
