"""What was made in a repository, of what, and by whom. Whether it still holds is asked in `threads.api.stories`."""

from typing import Any

from django.db.models import Exists, OuterRef
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from artifacts.api.repositories import RepositoryView
from artifacts.derivations import DECLARED, EDITED, FRESH, MISSING, OBSERVED, STALE
from artifacts.models import Derivation, Input
from houses.agents import Agent
from houses.api.paging import PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.rights import unseen


class InputSerializer(serializers.Serializer[Any]):
    """A file that something was made from, as it was then."""

    path = serializers.CharField()
    oid = serializers.CharField()
    how = serializers.ChoiceField([OBSERVED, DECLARED], help_text="How that is known.")


class TaskSerializer(serializers.Serializer[Any]):
    """A task that a bot was given, and what the bot was then."""

    bot = serializers.CharField(allow_blank=True, help_text="Its id; empty for a bot of elsewhere.")
    bot_name = serializers.CharField(allow_blank=True)
    runtime = serializers.CharField(allow_blank=True)
    model = serializers.CharField(allow_blank=True)
    system_prompt = serializers.CharField(allow_blank=True)
    prompt = serializers.CharField()


class DerivationSerializer(serializers.Serializer[Any]):
    """The edge: this file was made from those, by that command, or by a bot with that task."""

    id = serializers.CharField()
    path = serializers.CharField()
    oid = serializers.CharField()
    commit = serializers.CharField()
    state = serializers.ChoiceField(
        [FRESH, STALE, EDITED, MISSING], help_text="Looking no further than its own inputs."
    )
    current = serializers.BooleanField(help_text="False for what was made before.")
    inputs = InputSerializer(many=True, source="inputs.all")
    command = serializers.CharField(allow_blank=True, help_text="Empty for what a bot made.")
    task = TaskSerializer(allow_null=True, help_text="What a bot was told; null for a command.")
    recipe_oid = serializers.CharField()
    environment = serializers.CharField(allow_blank=True)
    thread = serializers.CharField(
        source="thread_id", allow_blank=True, help_text="Empty for one that you may not read."
    )
    command_id = serializers.CharField(allow_blank=True)
    made_by = serializers.UUIDField(source="made_by_id", allow_null=True)
    made_by_name = serializers.CharField(allow_blank=True)
    asked_by_name = serializers.CharField(allow_blank=True, help_text="Who gave a bot the task.")
    made_at = serializers.DateTimeField()
    seconds = serializers.FloatField()
    known_complete = serializers.BooleanField(help_text="Whether these are surely all of its inputs.")
    failed = serializers.BooleanField()


class DerivationPageSerializer(PageSerializer):
    """Some derivations."""

    results = DerivationSerializer(many=True)


class DerivationQuery(PageQuery):
    """Which derivations."""

    path = serializers.CharField(required=False, help_text="All of this file, also what was made before.")
    from_path = serializers.CharField(required=False, help_text="What is made from this file.")


class DerivationsView(RepositoryView):
    @operation("list_derivations", "making", query=DerivationQuery, gives=DerivationPageSerializer)
    def get(self, request: Request, house: str, repository: str) -> Response:
        """What was made in the repository, newest first: what is current, or everything of one path."""
        query = self.asked(DerivationQuery)
        rows = Derivation.objects.filter(repository=self.repository).prefetch_related("inputs")
        rows = rows.filter(path=query["path"]) if "path" in query else rows.filter(current=True)
        if "from_path" in query:
            rows = rows.filter(Exists(Input.objects.filter(derivation=OuterRef("pk"), path=query["from_path"])))
        answer = page(rows, DerivationSerializer, query, by="made_at")
        hide_unseen_threads(answer.data["results"], self.agent)
        return answer


def hide_unseen_threads(told: list[dict[str, Any]], agent: Agent) -> None:
    """Whoever may not read a thread is not told that something was made in it."""
    hidden = unseen("thread", {one["thread"] for one in told if one["thread"]}, agent)
    for one in told:
        if one["thread"] in hidden:
            one |= {"thread": "", "command_id": ""}
